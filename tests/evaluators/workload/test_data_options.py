"""Options of the data, as an experiment gives them to a workload."""

import pickle

from palettune.evaluators.workload.data_options import DataOptions


def test_options_are_equal_by_value_and_travel():
    given = DataOptions(sequence=4, batch_axis=1)
    assert pickle.loads(pickle.dumps(given)) == given
    assert given != DataOptions()
