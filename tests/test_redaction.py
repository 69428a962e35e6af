"""Secrets: hidden in arguments, and wherever else they come up."""

from __future__ import annotations

import json

import pytest

from errands import Errands, Redaction

HIDDEN = Redaction.HIDDEN


@pytest.mark.parametrize(
    "name",
    [
        "password", "new_password", "Passwd", "API_KEY", "apiKey", "x-api-key", "token",
        "accessToken", "client_secret", "Authorization", "cookies", "private_key", "pin",
        "userPin", "session_id", "iban", "smtp_password", "my_secret",
    ],
)  # fmt: skip  # a table
def test_a_name_tells_a_secret(name: str) -> None:
    """However it is written."""
    assert Redaction().hides(name)


@pytest.mark.parametrize(
    "name", ["path", "pinned", "spinning", "opinion", "shipping", "key", "author", "keyboard", "to"]
)
def test_most_names_tell_none(name: str) -> None:
    """A part of another word is no secret."""
    assert not Redaction().hides(name)


def test_secrets_are_hidden_however_deep() -> None:
    """Whole, whatever they are."""
    given = {
        "user": {"name": "ada", "password": "hunter2"},
        "calls": [{"token": [1, 2]}, {"pin": 1234}],
        "max_tokens": 512,
        "token": None,
    }

    assert {
        "user": {"name": "ada", "password": HIDDEN},
        "calls": [{"token": HIDDEN}, {"pin": HIDDEN}],
        "max_tokens": 512,
        "token": None,
    } == Redaction().value(given)


def test_more_names_can_be_told() -> None:
    """Those of the application."""
    hides = Redaction(["ahv_number", "Salary"]).hides

    assert hides("ahvNumber")
    assert hides("salary_2026")
    assert hides("password")


def test_one_text_instead_of_several_is_refused() -> None:
    """It would hide all names with an a."""
    with pytest.raises(TypeError, match=r"redact='salary': expected several"):
        Redaction("salary")


def test_a_password_in_a_url_is_hidden() -> None:
    """Wherever it stands."""
    text = "cannot connect to postgresql://app:s3cret@db.example/shop"

    assert f"cannot connect to postgresql://app:{HIDDEN}@db.example/shop" == Redaction().text(text)
    assert {"dsn": f"redis://:{HIDDEN}@host"} == Redaction().value({"dsn": "redis://:pw@host"})


def test_an_error_does_not_repeat_a_secret() -> None:
    """What is hidden in the arguments is hidden in what is told of them."""
    redaction, payload = Redaction(), json.dumps({"api_key": "sk_live_4242", "amount": 3})

    said = redaction.text("ValueError: 'sk_live_4242' is no key", redaction.secrets(payload))

    assert f"ValueError: '{HIDDEN}' is no key" == said


def test_a_secret_within_another_is_hidden_first_as_a_whole() -> None:
    """Else the rest of the longer one would show."""
    redaction = Redaction()
    payload = json.dumps({"token": "abcdef", "secret": "abcdefghij"})

    assert f"{HIDDEN} {HIDDEN}" == redaction.text("abcdefghij abcdef", redaction.secrets(payload))


def test_a_secret_is_hidden_wherever_it_comes_up() -> None:
    """Within other values, and in texts."""
    payload = json.dumps(
        {"user": {"password": "open-sesame"}, "tokens": ["abcdefgh", "x"], "max_tokens": 5}
    )
    redaction = Redaction()
    secrets = redaction.secrets(payload)

    assert {"user": {"password": HIDDEN}, "tokens": HIDDEN, "max_tokens": 5} == redaction.shown(
        payload, secrets
    )
    assert f"no {HIDDEN} nor {HIDDEN}" == redaction.text("no open-sesame nor abcdefgh", secrets)
    assert [{"secret": HIDDEN}] == redaction.value([{"secret": "y"}])


def test_nothing_is_hidden_from_who_may_see_it() -> None:
    """For an operator who asks for it."""
    redaction, payload = Redaction(is_off=True), '{"token": "abcdefgh", "dsn": "redis://:pw@host"}'

    assert [] == redaction.secrets(payload)
    assert json.loads(payload) == redaction.shown(payload, ["abcdefgh"])


def test_edited_arguments_get_their_secrets_back() -> None:
    """Where they still say that something is hidden; else somebody has typed a new one."""
    redaction = Redaction()
    original = {"api_key": "old", "n": 1, "list": [{"token": "t"}, "redis://:pw@host"]}
    payload = json.dumps(original)
    edited = redaction.shown(payload) | {"n": 2}

    assert {**original, "n": 2} == redaction.restored(edited, payload)
    assert "new" == redaction.restored({**edited, "api_key": "new"}, payload)["api_key"]


def test_a_text_that_is_no_json_is_shown_as_it_is() -> None:
    """Another program may have written it."""
    assert "{'a'" == Redaction().shown("{'a'")


async def test_no_page_shows_a_secret(errands: Errands) -> None:
    """Arguments, results and errors, in lists and alone."""
    from dashboard_visitor import visitor

    secret = "hunter2-correct-horse"

    @errands.task(name="login")
    def login(user: str, password: str) -> dict[str, str]:
        if user == "bob":
            raise ValueError(f"{password} is wrong")
        return {"token": "tok_123456", "echo": password}

    async with errands.working(), visitor(errands) as client:
        jobs = [await errands.add_task(login, user, secret) for user in ("ada", "bob")]
        await errands.result(jobs[0], timeout=10)
        with pytest.raises(Exception, match="is wrong"):
            await errands.result(jobs[1], timeout=10)
        pages = ["", "jobs", "errors", f"jobs/{jobs[1].id}/errors/0"]
        for page in [*pages, *(f"jobs/{job.id}" for job in jobs)]:
            answer = await client.get(page)

            assert 200 == answer.status_code
            assert secret not in answer.text, page
            assert "tok_123456" not in answer.text, page
