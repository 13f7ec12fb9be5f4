"""Settings to running parts. Only this package names systems.

    places   URLs and listeners -> paths and addresses
    logs     which log, by the scheme of its URL
    edge     log, endpoint, ingest worker          (role ingest)
    inner    ledger, fleet, pump                   (role process)
    keeping  sealing, archive, retention           (role tend)
    out      queries, registry, live, API          (role serve)
    families the codecs
    middle   the pure middle
    lives    ring, keys, cache of the registry     (by `live.url`)
    stores   which database holds registry and ledger
    setup    data folder, schema, first rows; books
    checks   are settings and data right
    previews decoding without writing

Each module imports the adapters of its role, so a process loads only what it runs.
"""
