from __future__ import annotations

from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest

from probes.bucket import BucketSettings
from probes.errors import ConfigError
from probes.simulator.profiles import PROFILES, like, profile
from probes.simulator.services import Speed, Work
from probes.simulator.settings import Fault, Service, SimulatorSettings
from probes.simulator.settings_file import as_table, read_settings, settings_of

WRONG: list[tuple[str, str]] = [
    ("slotz = 3", "unknown key slotz: did you mean slots?"),
    ("slots = 0", "slots must be above 0."),
    ("slots = 2.5", "slots must be a whole number."),
    ("slots = true", "slots must be a whole number."),
    ("mail = 1", "mail must be true or false."),
    ("token = 5", "token must be text in quotes."),
    ("latency_s = -1", "latency_s must not be negative."),
    ("epoch_s = 1e300", "epoch_s must be seconds since 1970, before the year 3000."),
    ('token = ""', "token must be one word of ASCII characters."),
    ('token = "a b"', "token must be one word of ASCII characters."),
    ("time_scale = inf", "time_scale must be a finite number."),
    ("refusal_status = 500", "refusal_status is 500: Canvas uses 401, 403 or 429."),
    ("tokens = 'x'", "tokens must be a list of texts."),
    ("bucket = 3", "bucket must be a table."),
    ("buckets = 3", 'buckets must be a table of tables: write [buckets."NAME"].'),
    ("faults = 3", "faults must be tables: write [[faults]]."),
    ("profile = 3", "profile must be text in quotes."),
    ("[bucket]\nhigh_water = 3", "bucket: unknown key high_water: did you mean high_water_mark?"),
    ("[bucket]\noutflow_per_s = 0", "bucket: outflow_per_s must be above 0."),
    ('[services."*"]\nmedian = 1', "services.*: unknown key median: did you mean median_s?"),
    ('[services."*"]\ndb_share = 2', "services.*: db_share must be between 0 and 1."),
    ("[[faults]]\nseconds = 1", "fault 1 must be a table with a kind."),
    ("[[faults]]\nkind = 'hangs'", "There is no fault 'hangs': did you mean hang?"),
    ("[[faults]]\nkind = 'hang'\nevery = 'x'", "fault 1: every must be a whole number."),
    ("[[faults]]\nkind = 'hang'\nevery = 0", "Fault 'hang': every starts at 1, after and seconds at 0, probability is 0 to 1."),
    ("[[faults]]\nkind = 'hang'\nprobability = 1.2", "Fault 'hang': every starts at 1, after and seconds at 0, probability is 0 to 1."),
    ("[[faults]]\nkind = 'header'", "Fault 'header' needs the name of a header."),
    ("[[faults]]\nkind = 'redirect'\ntext = 'a…'", "Fault 'redirect': header and text must be such that HTTP can carry them."),
    ("profile = 'prod'", "There is no profile 'prod': did you mean production?"),
    ("slots =", "is not valid TOML: Invalid value (at end of document)."),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_settings_files(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake in a settings file is one sentence that names it, and the nearest name."""
    path = tmp_path / "simulator.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_settings(path)
    assert str(raised.value) in (f"{path}: {message}", f"{path} {message}", message)


def test_unreadable_settings_file(tmp_path: Path) -> None:
    """A missing file is one sentence."""
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file or directory\.$"):
        read_settings(tmp_path / "none.toml")


def test_settings_file_changes_a_profile(tmp_path: Path) -> None:
    """A settings file names a profile and changes what it says, down to buckets and faults; a byte order mark is passed over."""
    path = tmp_path / "simulator.toml"
    path.write_text(
        """\ufeff
        profile = "beta"
        slots = 3
        tokens = ["second"]
        [bucket]
        high_water_mark = 700
        [buckets.second]
        outflow_per_s = 20.0
        [services."GET /api/v1/users/self"]
        median_s = 0.4
        cost_mean = 0.2
        [[faults]]
        kind = "hang"
        path = "/api/v1/courses"
        every = 10
        until = 50
        """
    )
    expected = profile(
        "beta",
        slots=3,
        tokens=("second",),
        bucket=BucketSettings(high_water_mark=700.0),
        buckets={"second": BucketSettings(outflow_per_s=20.0)},
        services={"GET /api/v1/users/self": Service(median_s=0.4, cost_mean=0.2)},
        faults=(Fault("hang", path="/api/v1/courses", every=10, until=50),),
    )
    assert read_settings(path) == expected
    assert settings_of(as_table(expected), "table") == expected


def test_command_line_profile_is_the_base(tmp_path: Path) -> None:
    """A file without a profile changes the profile that was given; one with a profile starts from its own."""
    path = tmp_path / "simulator.toml"
    path.write_text("slots = 1")
    assert read_settings(path, profile("test")) == profile("test", slots=1)
    path.write_text('profile = "sandbox"')
    assert read_settings(path, profile("test")) == profile("sandbox")


def test_profiles_differ_as_instances_do() -> None:
    """Test and beta have fewer slots, slower work, longer queues and no mail; all share one bucket."""
    assert set(PROFILES) == {"production", "test", "beta", "sandbox"}
    facts = {name: (s.slots, s.time_scale, s.queued_imports, s.mail) for name, s in PROFILES.items()}
    assert facts == {
        "production": (64, 1.0, 2, True),
        "test": (4, 1.7, 6, False),
        "beta": (8, 1.4, 4, False),
        "sandbox": (64, 1.0, 0, True),
    }
    assert {s.bucket for s in PROFILES.values()} == {BucketSettings()}


def test_unknown_profile_and_field() -> None:
    """Unknown names are one sentence with the nearest, or with all."""
    with pytest.raises(ConfigError, match=r"There is no profile 'xyz': known are beta, production, sandbox, test\."):
        profile("xyz")
    with pytest.raises(ConfigError, match=r"The simulator has no setting 'slot': did you mean slots\?"):
        profile("beta", slot=1)


def test_like_takes_an_estimated_bucket() -> None:
    """`like` takes estimates or numbers; a maximum that is not known is 4/3 of the mark."""
    estimated = {key: {"value": value, "low": 0.0, "high": 9e9, "n": 9} for key, value in CONSTANTS.items()}
    assert like(estimated).bucket == BucketSettings(900.0, 1200.0, 5.0, 40.0)
    plain = like({**CONSTANTS, "maximum": 1000.0}, profile("test"))
    assert (plain.name, plain.bucket) == ("test", BucketSettings(900.0, 1000.0, 5.0, 40.0))


CONSTANTS = {"high_water_mark": 900.0, "outflow_per_s": 5.0, "up_front_cost": 40.0}


@pytest.mark.parametrize("bad", [None, "x", True, -1.0, float("nan"), float("inf"), {"value": None}])
def test_like_refuses_half_a_bucket(bad: Any) -> None:
    """A constant that is unknown or no number cannot be simulated."""
    with pytest.raises(ConfigError, match="The estimated bucket has no usable outflow_per_s: it cannot be simulated"):
        like({**CONSTANTS, "outflow_per_s": bad})


@pytest.mark.untraced
def test_service_times_are_lognormal() -> None:
    """Service times have the median, charges the share or the mean that the settings say, split between CPU and DB."""
    speed = Speed(SimulatorSettings(time_scale=2.0))
    share, mean = Service(0.1, 0.5, cost_share=0.5, db_share=0.25), Service(0.1, 0.5, cost_mean=3.0, cost_sigma=0.5)
    works = [Work() for _ in range(4000)]
    seconds = [speed.base(share, work) for work in works]
    assert median(seconds) == pytest.approx(0.2, rel=0.05)
    assert all(w.cost == pytest.approx(0.5 * s) and w.db_s == pytest.approx(0.25 * w.cost) for s, w in zip(seconds, works, strict=True))
    works = [Work() for _ in range(4000)]
    for work in works:
        speed.base(mean, work)
    assert fmean(work.cost for work in works) == pytest.approx(3.0, rel=0.05)


def test_routes_change_one_by_one_or_all() -> None:
    """A route's own settings beat those for all, which beat the table."""
    own, every = Service(1.0), Service(2.0)
    both = Speed(SimulatorSettings(services={"GET /api/v1/courses": own, "*": every}))
    assert [both.service(r) for r in ("GET /api/v1/courses", "GET /api/v1/users/self", None)] == [own, every, every]
    table = Speed(SimulatorSettings())
    assert table.service("GET /api/v1/users/self").median_s == 0.22
    assert table.service("GET /api/v1/accounts/:id/terms", is_list=True).per_item_s == 0.002
