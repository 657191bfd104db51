"""Names of a module's arguments."""

from torch import nn

from palettune.device_bench.interface.argument_names import argument_names


class Several(nn.Module):
    def forward(self, tokens, mask=None, *more, training=False):
        return tokens


def test_arguments_have_their_names_and_further_ones_are_numbered():
    assert argument_names(Several(), 1) == ("tokens",)
    assert argument_names(Several(), 4) == ("tokens", "mask", "more_0", "more_1")


def test_there_are_no_more_than_the_module_takes():
    assert argument_names(nn.Linear(2, 2), 3) == ("input",)
