"""An encoder-decoder with additive attention, from word numbers to log-probabilities of words."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from research.data.sequences import PAD


class Memory(NamedTuple):
    """What the decoder may look at.

    Attributes:
        values: the encoder's states, both directions, (B, S, 2H).
        keys: the same, projected once for all steps, (B, S, H).
        mask: which places hold a word, (B, S) bool.
    """

    values: Tensor
    keys: Tensor
    mask: Tensor


class Attention(nn.Module):
    """Weights for the source's words by a network of one hidden layer.

    References:
        Neural Machine Translation by Jointly Learning to Align and Translate, section A.1.2
        (Bahdanau, Cho and Bengio, 2015).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.key = nn.Linear(2 * hidden, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)

    def forward(self, state: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The mean of the values (B, 2H) by the weights, and the weights (B, S)."""
        energies = self.energy(torch.tanh(self.query(state)[:, None] + memory.keys)).squeeze(2)
        weights = energies.masked_fill(~memory.mask, -torch.inf).softmax(1)
        return (weights[:, None] @ memory.values).squeeze(1), weights


class Translator(nn.Module):
    """Bidirectional GRU encoder, tanh bridge, additive attention, GRU decoder.

    A step attends with the previous state, feeds the previous word and the context to the GRU, and
    reads the next word from word, new state and context, through a linear layer with dropout
    before it and the generator after it, both without bias.

    Arguments:
        words: sizes of the source's and the target's vocabulary.
        embedding, hidden: lengths of a word's vector and of a state.

    References:
        The Annotated Encoder-Decoder with Attention (Bastings, 2018).

    Example:
        >>> model = Translator((20, 30), embedding=8, hidden=16, dropout=0.1)
        >>> log_probs, attention = model(torch.tensor([[4, 5, 2]]), torch.tensor([[1, 6]]))
        >>> log_probs.shape, attention.shape
        (torch.Size([1, 2, 30]), torch.Size([1, 2, 3]))
    """

    def __init__(self, words: tuple[int, int], embedding: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.config = {"words": list(words), "embedding": embedding, "hidden": hidden,
                       "dropout": dropout}  # fmt: skip
        self.source = nn.Embedding(words[0], embedding)
        self.encoder = nn.GRU(embedding, hidden, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, hidden)
        self.attention = Attention(hidden)
        self.target = nn.Embedding(words[1], embedding)
        self.decoder = nn.GRUCell(embedding + 2 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(embedding + 3 * hidden, hidden, bias=False)
        self.generator = nn.Linear(hidden, words[1], bias=False)

    def encode(self, source: Tensor) -> tuple[Memory, Tensor]:
        """The memory of sentences (B, S), `PAD` after them, and the first state (B, H)."""
        mask = source != PAD
        lengths = mask.sum(1).cpu()
        packed = pack_padded_sequence(
            self.source(source), lengths, batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        values, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        first = torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1)))
        return Memory(values, self.attention.key(values), mask), first

    def step(self, memory: Memory, state: Tensor, former: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Goes one word on.

        Arguments:
            state: (B, H); former: vectors of the words before, (B, E).

        Returns:
            what the next word is read from (B, E + 3H), the new state, the attention (B, S).
        """
        context, weights = self.attention(state, memory)
        state = self.decoder(torch.cat([former, context], 1), state)
        return torch.cat([former, state, context], 1), state, weights

    def log_probs(self, read: Tensor) -> Tensor:
        """Of each word to come next: (..., E + 3H) -> (..., words)"""
        return self.generator(self.output(self.dropout(read))).log_softmax(-1)  # type: ignore[no-any-return]

    def forward(self, source: Tensor, former: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of each next word of given sentences, and the attention.

        Arguments:
            source: (B, S).
            former: the word before each word to predict, (B, T), `SOS` first.

        Returns:
            (B, T, words) and (B, T, S).
        """
        memory, state = self.encode(source)
        reads, attention = [], []
        for vectors in self.target(former).unbind(1):
            read, state, weights = self.step(memory, state, vectors)
            reads.append(read)
            attention.append(weights)
        return self.log_probs(torch.stack(reads, 1)), torch.stack(attention, 1)
