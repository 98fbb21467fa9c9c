"""Topics are made so that what was acknowledged stays (X2), and so that a driven clock has one order."""

import pytest

from deploy.topics import CLOCK, DAY, Topic, _new, topics


@pytest.mark.requirement("X2")
@pytest.mark.parametrize(("replication", "least"), [(1, None), (3, "2"), (5, "2")])
def test_what_is_acknowledged_outlives_the_loss_of_a_node(replication: int, least: str | None):
    made = _new(Topic("orders", 12, DAY), replication)
    assert made.topic_configs.get("min.insync.replicas") == least


def test_ticks_have_one_order_however_many_partitions_there_are():
    assert {t.name: t.partitions for t in topics(7)}[CLOCK] == 1
