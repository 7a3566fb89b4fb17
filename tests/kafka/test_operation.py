"""Procedures of infra/README.md, performed: more partitions, a rebuilt state."""

from __future__ import annotations

from pathlib import Path

from kafka.admin import KafkaAdminClient

from tests.kafka.engine_rig import events, rig, wait_for


def test_more_partitions_are_refused_until_the_procedure_is_done(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    with rig(broker, topic_prefix, tmp_path, partitions=2) as made:
        made.produce(events(2_000))
        made.run("accounts")
        client = KafkaAdminClient(bootstrap_servers=broker)
        client.create_partitions({made.config.topic("requests"): 4})

        for flags in ((), ("--reset-state",)):
            refused = made.run("accounts", *flags, status=2)
            assert f"{made.changelog('accounts')} has 2 partitions" in refused.text()
            assert "delete that topic" in refused.text()

        gone = [made.config.topic("buckets"), made.changelog("accounts")]
        client.delete_topics(gone)
        wait_for("the topics to be gone", lambda: not set(gone) & set(client.list_topics()))
        client.create_topics({made.config.topic("buckets"): {"num_partitions": 1, "replication_factor": 1}})
        client.close()
        made.run("accounts", "--reset-state")
        made.run("networks", "--reset-state")
        committed, ends = made.committed()
        assert committed == ends
        assert made.read("alerts")
