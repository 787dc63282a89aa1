"""The folders of runs: which are removed once the run is FINISHED, and which stay for the run's search."""

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import backlog, run_folder


def test_folder_that_a_search_keeps_stays_when_others_are_tidied(tmp_path):
    settings = TrackingSettings(local_dir=str(tmp_path / "unfinished"))
    names = ["a" * 32, "b" * 32, "c" * 32]
    for name in names:
        folder = run_folder.folder_of(settings, name)
        folder.claim()
        folder.keep(wanted=name.startswith("a"))
        folder.release()
    backlog.tidy(settings, lambda ids: set(ids) - {"c" * 32})
    assert [folder.path.name for folder in run_folder.folders(settings)] == ["a" * 32, "c" * 32]


def test_a_folder_is_let_go_once_its_search_does_not_want_it(tmp_path):
    folder = run_folder.RunFolder(tmp_path / ("a" * 32))
    folder.claim()
    folder.keep(wanted=True)
    folder.finish()
    assert run_folder.is_kept(folder.path)
    folder.claim()
    folder.keep(wanted=False)
    folder.finish()
    assert not folder.path.exists()
