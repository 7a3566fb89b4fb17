"""Traffic of others: from a request log as it is to native events.

A *mapping* (`mappings/*.toml`, or the user's own) says for each native field where it stands. One
`decoder` reads every mapping. It is an allow-list: what no mapping names never leaves it.
"""
