"""`probes explain`: what is wrong with a URL or a curl line; with an instance it asks the right URL once and tells what the answer says."""

from __future__ import annotations

import dataclasses

from probes.addresses import origin, target, without_secrets
from probes.calls import Call
from probes.config import Instance
from probes.errors import UsageError
from probes.explain import Explanation, answer_question, explain, seen, told
from probes.jobs.session import Settings, Told, client_for, how_ended, open_run, reckoning, run_until, to_raise, write_report
from probes.runs import Run
from probes.wording import heard


def run(settings: Settings, text: str | None, names: list[str], question: str | None, term: str) -> tuple[Told, KeyboardInterrupt | None]:
    """Explains `text`, or gives the URLs for `question`; asks the first of `names` once when there is one.

    With --json an interrupt comes back beside what is told all the same.
    Raises UsageError for what is no URL, ConfigError for an unknown instance, RunFolderError.
    """
    if any("/" in name for name in names):  # curl's -i, whose next word is no instance
        raise UsageError("-i names an instance of the configuration: put the whole curl line in quotes.")
    instances = settings.load().pick(names) if names else []
    if len(instances) > 1:
        raise UsageError("explain asks one instance: give one -i.")
    instance = instances[0] if instances else None
    explanation = _explained(text, question, term, "" if instance is None else instance.url)
    call = None if instance is None else _call(settings, explanation, instance)
    if instance is None or call is None:
        return Told(explanation.document(), told(explanation)), None
    return _asked(settings, explanation, instance, call)


def _explained(text: str | None, question: str | None, term: str, origin: str) -> Explanation:
    if question is not None and text:
        raise UsageError("Give a URL or --question, not both.")
    if question is not None:
        return answer_question(question, term, origin)
    if not text:
        raise UsageError("There is nothing to explain: give a URL or a curl line in quotes, or --question NAME.")
    return explain(heard(text), origin)


def _call(settings: Settings, explanation: Explanation, instance: Instance) -> Call | None:
    """The right URL as `instance` is asked for it; None of a call that writes, or without a right URL: then nothing is sent."""
    if explanation.right is not None and not explanation.right.reads:
        settings.say(f"{explanation.right.method} changes something: it was not sent.")
        return None
    if not explanation.urls:
        settings.say("There is no right URL yet: nothing was sent.")
        return None
    url = explanation.urls[0]
    if origin(url) != origin(instance.url):
        settings.say(f"Only {instance.url} is asked, with the path and query of the right URL: your token goes nowhere else.")
    return Call("GET", target(url))


def _asked(settings: Settings, explanation: Explanation, instance: Instance, call: Call) -> tuple[Told, KeyboardInterrupt | None]:
    """The explanation with what `instance` answers to the right URL."""
    with open_run(settings, ["explain", without_secrets(call.name)], [instance]) as folder:
        explanation, halt = run_until(settings, folder, _once(explanation, instance, folder, call), explanation)
        with reckoning(settings, folder):
            folder.finish(how_ended(halt))
            write_report(folder)
    return Told(explanation.document(), told(explanation), unkept=folder.unkept), to_raise(halt, folder)


async def _once(explanation: Explanation, instance: Instance, folder: Run, call: Call) -> Explanation:
    async with client_for(instance, folder) as client:
        answer = await client.ask(call, scenario="explain")
    return dataclasses.replace(explanation, seen=seen(answer.observation, answer.headers, answer.url))
