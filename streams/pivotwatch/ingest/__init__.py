"""Ingest: converts request logs of other systems (sources) to native events.

A *mapping* (`mappings/*.toml`, or one of the user) says where each native field is in a record of a
source. One `decoder` serves all mappings. A mapping is an allow-list: the decoder drops every field that
the mapping does not name.
"""
