"""Causes that lie on our side of the way: this machine, names, handshakes."""

from __future__ import annotations

from collections.abc import Iterator

from probes.diagnosis.base import Cause, argued, surer
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Outcome
from probes.rules.base import plural, seconds
from probes.stats import median, point

LAG_S = 0.04
LAG_SHARE = 0.35
LEAST_LAGS = 10
POOL_S, POOL_SHARE = 0.1, 0.5
CROWD_POOL_S, CROWD_POOL_SHARE = 0.3, 0.3
DNS_S = 0.5
TLS_S = 0.4


def client(symptoms: Symptoms) -> Iterator[Cause]:
    """Our own side: a loop that wakes late, waiting for slots or ceilings, a proxy that cannot be reached."""
    signs, effects = [], []
    lag = symptoms.around.lag_s
    if len(lag) >= LEAST_LAGS and (point(lag, 0.9) > LAG_S or sum(lag) / (sum(lag) + 0.02 * len(lag)) > LAG_SHARE):
        signs.append(f"our own loop woke {seconds(point(lag, 0.9))} late in one of ten cases, n = {len(lag)}: this machine is busy")
        effects.append(max(point(lag, 0.9) / LAG_S, 2.0))
    pools = [(o.pool_s, o.pool_s + (o.flight_s or 0.0)) for o in symptoms.alone if o.pool_s is not None]
    if len(pools) >= 4 and median([pool for pool, _ in pools]) > max(POOL_S, POOL_SHARE * median([whole for _, whole in pools])):
        ceiling = f" (max_rate = {symptoms.around.max_rate:g})" if symptoms.around.max_rate else ""
        signs.append(f"calls waited {seconds(median([pool for pool, _ in pools]))} on our side before they went{ceiling}, n = {len(pools)}")
        effects.append(median([pool for pool, _ in pools]) / POOL_S)
    crowd = [(o.pool_s, o.pool_s + (o.flight_s or 0.0)) for k, o in symptoms.overlapped if k >= 3 and o.pool_s is not None]
    if len(crowd) >= 6 and median([pool for pool, _ in crowd]) > max(
        CROWD_POOL_S, CROWD_POOL_SHARE * median([whole for _, whole in crowd])
    ):
        signs.append(
            f"calls made together waited {seconds(median([pool for pool, _ in crowd]))} on our side before they went, n = {len(crowd)}"
        )
        effects.append(median([pool for pool, _ in crowd]) / CROWD_POOL_S)
    starved = symptoms.count(Outcome.POOL_TIMEOUT)
    if starved:
        signs.append(f"{plural(starved, 'call')} found no free slot of ours in time")
        effects.append(3.0)
    failed = [o for o in symptoms.having(Outcome.CONNECT_ERROR, Outcome.CONNECT_TIMEOUT) if symptoms.around.proxy]
    if failed:
        signs.append(f"{plural(len(failed), 'connection')} failed, all by way of the proxy {symptoms.around.proxy}")
        effects.append(3.0)
    if signs:
        says = f"Our own side holds the job back: {signs[0]}."
        advice = "Run it on an idle machine, raise the ceilings in probes.toml, or check the proxy, before you blame the instance."
        yield Cause("client", surer(max(effects), 1.0, 20), says, argued(signs), advice)


def dns(symptoms: Symptoms) -> Iterator[Cause]:
    """The name is not found, or slowly."""
    failed, slow = symptoms.count(Outcome.DNS_ERROR), symptoms.around.dns_s
    if failed or symptoms.around.dns_error:
        said = symptoms.around.dns_error or next((o.error for o in symptoms.having(Outcome.DNS_ERROR) if o.error), "no address")
        says = f"The name of {symptoms.instance} was not found, on {failed} of {len(symptoms.seen)} requests."
        yield Cause("dns", 0.98, says, argued([str(said)]), "Check the host in url for a slip, then the resolver of this machine.")
    elif slow and median(slow) > DNS_S:
        says = f"Finding the name of {symptoms.instance} takes {seconds(median(slow))}, n = {len(slow)}; each new connection waits for it."
        advice = "Keep connections open, and ask whoever runs the resolver of this machine."
        yield Cause("dns", surer(median(slow), DNS_S, len(slow)), says, argued(["measured by resolving the name alone"]), advice)


def tls(symptoms: Symptoms) -> Iterator[Cause]:
    """The handshake fails, or takes far longer than its two round trips."""
    failed = symptoms.having(Outcome.TLS_ERROR)
    if failed:
        said = sorted({o.error for o in failed if o.error})
        says = f"The TLS handshake with {symptoms.instance} failed on {len(failed)} of {len(symptoms.seen)} requests."
        advice = "Look at the certificate: ended, for another host, or signed by a company proxy whose root this machine does not know."
        yield Cause("tls", 0.98, says, argued(said[:3]), advice)
        return
    times = [o.tls_s for o in symptoms.seen if o.reused is False and o.tls_s]
    expected = 3.0 * median(symptoms.connects_s) if symptoms.connects_s else 0.0
    if len(times) >= 2 and median(times) > max(TLS_S, expected):
        says = f"The TLS handshake with {symptoms.instance} takes {seconds(median(times))}, n = {len(times)}."
        signs = [f"the TCP handshake before it takes {seconds(median(symptoms.connects_s))}"] if symptoms.connects_s else []
        yield Cause(
            "tls",
            surer(median(times), TLS_S, len(times)),
            says,
            argued(signs),
            "Keep connections open; ask for the reason at the instance's edge.",
        )
