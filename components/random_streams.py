"""Independent streams of random numbers, all derived from the one seed of params.yaml.

`np.random.default_rng([seed, stream, …])`: the stream's number keeps two uses of the seed apart, whatever
numbers follow it. The values are part of every result: changing one changes the data.
"""

from enum import IntEnum


class Stream(IntEnum):
    """What random numbers are drawn for."""

    # 0 to 2: writing the synthetic inks of test, valid and train
    FORMULAS = 3  # of the grammar, by split
    WRITER = 4  # a writer's hand
    HABIT = 5  # how a writer deforms one symbol
    BATCHES = 6  # which inks form a batch
    SYNTHESIS = 8  # recombined formulas, by shard
    PUBLICATION = 9  # formulas that try out a model to be published
    SYMBOLS = 10  # derived symbols, and which formulas of the lists are recombined
