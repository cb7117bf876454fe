"""Between parties: mutual TLS with pinned certificates, one stream a pair, sessions multiplexed on it.

Read in this order: credentials (who may connect), codes (limits and reasons), frames (how an array is cut and labelled), messages
(what crosses, checked), link (one peer's stream), inbox and outbox (one peer's arrays in one session), session_link (the Channel
that protocols see), opening (keys and the session id), mesh (a daemon's links to all the others).
"""
