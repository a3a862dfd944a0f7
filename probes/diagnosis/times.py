"""Causes that lie on our side of the way: this machine, names, handshakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes.diagnosis.base import OF_PROXY, TICK_S, Cause, argued, surer
from probes.diagnosis.symptoms import Symptoms, of_own_system
from probes.observation import Observation, Outcome
from probes.stats import median, point
from probes.wording import percent, plural, seconds

LAG_S, LAG_SHARE, LEAST_LAGS = 0.04, 0.35, 10
"""From how late a loop that wakes makes this machine busy, seconds; or as a share of the time in between; and by how many samples."""
POOL_S, POOL_SHARE, LEAST_POOLS = 0.1, 0.5, 4
CROWD_POOL_S, CROWD_POOL_SHARE, LEAST_CROWD = 0.3, 0.3, 6
"""Wait on our side from which it is blamed, seconds and share of the whole call, and by how many: alone, and three or more together."""
DNS_S = 0.5
"""A name that is looked up takes tens of ms; from here on it is what makes new connections slow."""
DNS_AT_TIMES_S = 1.5
"""A resolver that does not answer is given up after one second at least; a name that is asked anew for takes less."""
TLS_S = 0.4
"""A handshake takes one or two round trips and a few ms of arithmetic; from here on it is what makes new connections slow."""


OF_CERTIFICATE = "Look at the certificate: ended, for another host, or signed by a company proxy whose root this machine does not know."
OF_CERTIFICATES = {
    "expired": "The certificate has ended: look at the clock of this machine first, then tell whoever runs the instance to renew it.",
    "not yet valid": "The certificate is not valid yet: look at the clock of this machine first.",
    "mismatch": "The certificate is for another host: check the host in url; a proxy or a network's login page may answer in its place.",
    "self-signed": "Nobody this machine trusts signed the certificate: a company proxy, or a school's own root. Get its root certificate "
    "from those who run it and name the file in the variable SSL_CERT_FILE.",
    "unable to get local issuer": "This machine does not know who signed the certificate: a company proxy, a school's own root, or a "
    "server that sends no intermediate certificate. Get the root from those who run it and name the file in the variable SSL_CERT_FILE.",
}
"""Advice by what OpenSSL says of a certificate."""
OF_NO_TLS = (
    "The other end may not speak TLS at this port: check the port in url (a server without TLS is http://, on loopback only here), then "
    "whether a proxy or firewall between breaks the handshake off."
)


Weighed = tuple[str, float]
"""(a sign, by how many times it is beyond what is usual)."""


def client(symptoms: Symptoms) -> Iterator[Cause]:
    """Our own side: a loop that wakes late, waiting for slots or ceilings, a proxy that cannot be reached."""
    looks = (_late_loop, _waits_alone, _waits_together, _no_slot, _own_system, _proxy)
    found = [weighed for look in looks if (weighed := look(symptoms)) is not None]
    if found:
        signs, effects = [sign for sign, _ in found], [effect for _, effect in found]
        says = f"Our own side holds the job back: {signs[0]}."
        advice = "Run it on an idle machine, raise the ceilings in probes.toml, or check the proxy, before you blame the instance."
        if any(of_own_system(o) for o in symptoms.seen):
            advice = (
                "See what this machine's system says: too few open files (ulimit -n), no free port (connections that are not kept open), "
                "or a firewall of its own that does not let this program out."
            )
        if any(o.status == OF_PROXY for o in symptoms.seen):
            advice = "Give the proxy its user and password in the variable that names it: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
        yield Cause("client", surer(max(effects), 1.0, 20), says, argued(signs), advice)


def _late_loop(symptoms: Symptoms) -> Weighed | None:
    lag = symptoms.around.lag_s
    if len(lag) < LEAST_LAGS or (point(lag, 0.9) <= LAG_S and sum(lag) / (sum(lag) + TICK_S * len(lag)) <= LAG_SHARE):
        return None
    late_s, longest_s = point(lag, 0.9), max(lag)
    late = f"our own loop woke {seconds(late_s)} late in one of ten cases"
    if late_s <= LAG_S:
        late = f"our own loop was late for {percent(sum(lag) / (sum(lag) + TICK_S * len(lag)))} of the time"
    sign = f"{late}, {seconds(longest_s)} at the longest, n = {len(lag)}: this machine is busy, or the process stood still"
    return sign, max(late_s / LAG_S, 2.0)


def _waits_alone(symptoms: Symptoms) -> Weighed | None:
    alone = [o for o in symptoms.alone if o.pool_s is not None]
    waited_s = _waited_s(alone, LEAST_POOLS, max_s=POOL_S, share=POOL_SHARE)
    if waited_s is None:
        return None
    ceiling = f" (max_rate = {symptoms.around.max_rate:g})" if symptoms.around.max_rate else ""
    return f"calls waited {seconds(waited_s)} on our side before they went{ceiling}, n = {len(alone)}", waited_s / POOL_S


def _waits_together(symptoms: Symptoms) -> Weighed | None:
    crowd = [o for k, o in symptoms.overlapped if k >= 3 and o.pool_s is not None]
    waited_s = _waited_s(crowd, LEAST_CROWD, max_s=CROWD_POOL_S, share=CROWD_POOL_SHARE)
    if waited_s is None:
        return None
    return f"calls made together waited {seconds(waited_s)} on our side before they went, n = {len(crowd)}", waited_s / CROWD_POOL_S


def _waited_s(calls: Sequence[Observation], least: int, *, max_s: float, share: float) -> float | None:
    """The median wait on our side, seconds; None for fewer calls than `least`, or where it is within `max_s` or `share` of the whole."""
    if len(calls) < least:
        return None
    waited_s = median([o.pool_s or 0.0 for o in calls])
    whole_s = median([(o.pool_s or 0.0) + (o.flight_s or 0.0) for o in calls])
    return waited_s if waited_s > max(max_s, share * whole_s) else None


def _no_slot(symptoms: Symptoms) -> Weighed | None:
    starved = symptoms.count(Outcome.POOL_TIMEOUT)
    return (f"{plural(starved, 'call')} found no free slot of ours in time", 3.0) if starved else None


def _own_system(symptoms: Symptoms) -> Weighed | None:
    """Connections that this machine's system did not even begin."""
    bad = [o for o in symptoms.having(Outcome.CONNECT_ERROR) if of_own_system(o)]
    if not bad:
        return None
    said = min(str(o.error) for o in bad)
    return f"{plural(len(bad), 'connection was', 'connections were')} not begun by this machine's system ({said})", 3.0


def _proxy(symptoms: Symptoms) -> Weighed | None:
    asks = [o for o in symptoms.seen if o.status == OF_PROXY]
    if asks:
        return f"{plural(len(asks), 'answer')} came from a proxy that wants credentials of its own (407)", 3.0
    failed = [o for o in symptoms.having(Outcome.CONNECT_ERROR, Outcome.CONNECT_TIMEOUT) if symptoms.around.proxy]
    return (f"{plural(len(failed), 'connection')} failed, all by way of the proxy {symptoms.around.proxy}", 3.0) if failed else None


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
    elif slow and max(slow) > DNS_AT_TIMES_S:
        yield _slow_at_times(symptoms, slow)


def _slow_at_times(symptoms: Symptoms, slow: Sequence[float]) -> Cause:
    """Of several resolvers one may be dead: each name that is asked of it waits until the next is tried."""
    late = [taken for taken in slow if taken > DNS_AT_TIMES_S]
    says = (
        f"Finding the name of {symptoms.instance} took {seconds(max(late))} on {len(late)} of {len(slow)} tries; else {seconds(min(slow))}."
    )
    stood = sum((o.connect_s or 0.0) > DNS_AT_TIMES_S for o in symptoms.seen)
    signs = ["measured by resolving the name alone", *([f"{plural(stood, 'new connection')} stood as long"] if stood else [])]
    advice = (
        "Ask whoever runs the resolvers of this machine whether each of them answers: a dead one costs some seconds whenever it is tried."
    )
    return Cause("dns", 0.8 if stood else 0.6, says, argued(signs), advice)


def _mute(symptoms: Symptoms) -> Cause:
    """Handshakes that nobody answers, or that are broken off."""
    bad, name = symptoms.mute, symptoms.instance
    broken = sorted({o.error for o in bad if o.error and o.outcome is Outcome.CONNECT_ERROR})[:2]
    ended = "broken off" if broken else "not ended in time"
    says = f"The TLS handshake with {name} was {ended} on {len(bad)} of {plural(len(symptoms.seen), 'request')}."
    made = [f"the connection itself came about in {seconds(median([o.connect_s or 0.0 for o in bad]))}", *broken]
    advice = (
        f"Check the port in the url of {name}: what listens there may speak no TLS, or an old version of it only. Or a firewall between "
        "does not let it through: try from another network."
    )
    return Cause("tls", 0.9 if len(bad) > 1 else 0.7, says, argued(made), advice)


def tls(symptoms: Symptoms) -> Iterator[Cause]:
    """The handshake fails, or takes far longer than its two round trips."""
    failed = symptoms.having(Outcome.TLS_ERROR)
    if failed:
        said = sorted({o.error for o in failed if o.error})
        says = f"The TLS handshake with {symptoms.instance} failed on {len(failed)} of {len(symptoms.seen)} requests."
        words = " ".join(said).lower()
        usual = OF_CERTIFICATE if "certificate" in words else OF_NO_TLS
        advice = next((told for sign, told in OF_CERTIFICATES.items() if sign in words), usual)
        yield Cause("tls", 0.98, says, argued(said[:3]), advice)
        return
    if symptoms.mute:
        yield _mute(symptoms)
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
