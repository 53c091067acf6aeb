"""An LSTM over the last rows of each group."""


def lstm(part):
    raise NotImplementedError("the LSTM needs rows of a sequence")
