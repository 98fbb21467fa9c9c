"""Everybody around one order, and who of them reacts to what the system says."""

from collections import Counter

import orjson

from deploy.simulate.agents import Agents
from deploy.simulate.buyers import Buyers
from deploy.simulate.couriers import Couriers
from deploy.simulate.edges import Edges
from deploy.simulate.floor import Floor
from deploy.simulate.story import Story
from shared.runtime.chain import Entry


class People:
    """The buyer, the agents, the people on the floor, the couriers."""

    def __init__(self, edges: Edges, seed: str, number: int) -> None:
        self.story = Story(edges, seed, number)
        self.buyers = Buyers(self.story)
        self.couriers = Couriers(self.story)
        self.everybody = (self.buyers, Agents(self.story), Floor(self.story), self.couriers)
        self.heard: Counter[str] = Counter()

    def hear(self, kind: str, entry: Entry) -> None:
        """The system said something about the order; whom it concerns has a method named after it."""
        reacts = [react for one in self.everybody if (react := getattr(one, f"_on_{kind}", None))]
        if reacts:
            self.heard[kind] += 1
            self.story.dice.seed(f"{self.story.seed}/{kind}/{self.heard[kind]}")
        for react in reacts:
            react(orjson.loads(entry.data))
