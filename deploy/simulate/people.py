"""Everybody around one order, and who of them reacts to what the system says."""

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
        self.agents = Agents(self.story)
        self.floor = Floor(self.story)
        self.couriers = Couriers(self.story)

    def hear(self, kind: str, entry: Entry) -> None:
        """The system said something about the order; whom it concerns has a method named after it."""
        for one in (self.buyers, self.agents, self.floor, self.couriers):
            react = getattr(one, f"_on_{kind}", None)
            if react is not None:
                react(orjson.loads(entry.data))
