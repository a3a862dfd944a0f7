"""The limit where no header tells it, from refusals alone: which calls to make next, what the answers allow, what is safe by that.

In reading order: `probing` is what is known so far, `climbing` how many calls fit, `refusals` what follows; `ratios` what the answers
allow, `ratio_rates` the entry of `probes.rate/1`, `ratio_plan` how to make N calls.
"""
