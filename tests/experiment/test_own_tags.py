"""Tags and descriptions of one's own: recorded, found by MLflow's search, part of no result."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_runs import recorded, run

from mnist_exp.composition.compose import compose
from mnist_exp.config import own_tags
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.job_key import job_key
from mnist_exp.tracking import names

SMALL = ["data=mnist_5k", "data.limit=200", "trainer.epochs=1", "model=mlp", "model.hidden_units=[4]"]
OWN = ["+tags.owner=ann", "+tags.team.name='north 1'", "+tags.gpu=false", "+tags.fold=3"]
TEXTS = {"owner": "ann", "team.name": "north 1", "gpu": "false", "fold": "3"}
DESCRIPTION = "tracking.description='a first look, by *ann*'"


@pytest.mark.slow
def test_tags_and_description_are_recorded_and_in_no_job_key():
    run(*SMALL, *OWN, DESCRIPTION)
    client, _, (found,) = recorded()
    assert TEXTS.items() <= found.data.tags.items()
    assert found.data.tags[names.NOTE] == "a first look, by *ann*"
    assert not [name for name in found.data.params if name.startswith("tags")]
    plain, tagged = compose(SMALL), compose([*SMALL, *OWN, DESCRIPTION])
    assert found.data.tags[names.JOB_KEY] in (job_key(tagged, found.data.tags[names.DATA_SHA256]),)
    assert job_key(plain, "0") == job_key(tagged, "0")
    assert client.search_runs([found.info.experiment_id], "tags.owner = 'ann' and tags.`team.name` LIKE 'north%'")


@pytest.mark.slow
def test_sweep_and_its_jobs_have_the_tags_of_all_and_issued_again_it_runs_nothing():
    words = ["-m", *SMALL, "model.dropout=0.1,0.2"]
    run(*words, *OWN, DESCRIPTION)
    _, (parent,), children = recorded()
    for each in (parent, *children):
        assert TEXTS.items() <= each.data.tags.items()
        assert each.data.tags[names.NOTE].startswith("a first look, by *ann*")
    assert "Best of 2" in parent.data.tags[names.NOTE]
    run(*words, "+tags.owner=ben")
    assert len(recorded()[2]) == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("+tags.mlflow.user=ann", "tags.mlflow.user=ann is not allowed"),
        ("+tags.mnist_exp.job_key=1", "set tags of that name themselves"),
        ("+tags.pruned=true", "set tags of that name themselves"),
        ("+tags={/a: b}", "tags./a=b is not allowed: a tag's name has letters"),
        ("+tags={a//b: c}", "tags.a//b=c is not allowed"),
        ("+tags.owner=null", "it must be text"),
        ("+tags.owner=[a,b]", "it must be text"),
        ("tags=ann", "tags=ann is not allowed: it must be names with their texts: +tags.owner=ann"),
    ],
)
def test_tag_that_cannot_be_recorded_is_refused(option, words):
    with pytest.raises(SettingsError) as error:
        compose([*SMALL, option])
    assert words in str(error.value)


def test_text_that_mlflow_would_cut_is_refused():
    longest = "x" * own_tags.MOST_CHARACTERS
    assert own_tags.check({"a": longest}) == ({"a": longest}, [])
    (problem,) = own_tags.check({"a": longest + "x"})[1]
    assert problem == "tags.a has 8,001 characters: at most 8,000 can be recorded"
    with pytest.raises(SettingsError, match=r"tracking\.description=.* at most 8,000 characters"):
        compose([*SMALL, f"tracking.description={longest}x"])


NAMES = st.text(max_size=300) | st.text("ab./: -_", max_size=6)


@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=3))
@settings(max_examples=300, deadline=None)
def test_each_tag_is_taken_as_mlflow_takes_it_or_is_a_problem(tags):
    from mlflow.utils.validation import _validate_tag

    texts, problems = own_tags.check(tags)
    assert len(texts) + len(problems) == len(tags)
    for name, text in texts.items():
        assert tags[name] == text
        _validate_tag(name, text)
