"""The Prometheus exporter: rounds on schedules of their own, `/metrics`, `/probe`, `/-/healthy`, `/-/reload`.

In reading order: `rounds` (when who is asked), `newest` (what runs found), `exporter` (what is exported, and from which configuration),
`site` (its pages), `server` (its port and its end). It is the one place right of observations.jsonl that asks.
"""
