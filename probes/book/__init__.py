"""The limiter's book of one bucket: an upper bound of its level, and what is known of the bucket. Arithmetic only; time is passed in.

In reading order: `ledger` is the whole; `balance` the level and the calls that are out, `reconciliation` how headers correct it. What it
asks: `hearing` (which headers are believed), `agreement`, `overtaking` and `passage` (what a header can have seen), `losses`, `overdue`,
`surcharges`, `neighbours`, `narrows` (a bucket that they fill alone), `retreat` (after a refusal), `revision` (constants that changed). A
bucket that is not known: `learner`, with `bursts`, `line`, `lattice` and, for slow calls, `slowness`; `silence` where no header tells
anything.
"""
