"""The game of life on a grid of actors: each keeps one tile and exchanges edges with its neighbours every generation."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import mobula

SHAPE = 24


@mobula.remote(num_cpus=0)
class Tile:
    """Some columns of the board, which is a torus."""

    def __init__(self, cells: Any) -> None:
        self.cells = np.array(cells)  # a copy: what comes from the store is read-only

    def left(self) -> Any:
        return self.cells[:, :1]

    def right(self) -> Any:
        return self.cells[:, -1:]

    def step(self, left: Any, right: Any) -> None:
        self.cells = generation(np.hstack([left, self.cells, right]))[:, 1:-1]

    def get(self) -> Any:
        return self.cells


def generation(board: Any) -> Any:
    """Returns the next generation of a board that is a torus."""
    neighbours = sum(np.roll(board, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
    return (neighbours == 3) | (board & (neighbours == 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=4)
    parser.add_argument("--generations", type=int, default=20)
    args = parser.parse_args()
    board = np.random.default_rng(7).random((SHAPE, SHAPE * args.tiles)) < 0.3
    with mobula.init():
        tiles = [Tile.remote(cells) for cells in np.hsplit(board, args.tiles)]
        for _ in range(args.generations):
            edges = [(tile.left.remote(), tile.right.remote()) for tile in tiles]
            for i, tile in enumerate(tiles):  # calls of one caller run in order: every edge is read before its tile steps
                tile.step.remote(edges[i - 1][1], edges[(i + 1) % len(tiles)][0])
        result = np.hstack(mobula.get([tile.get.remote() for tile in tiles]))
    for _ in range(args.generations):
        board = generation(board)
    print("\n".join("".join("█" if cell else "·" for cell in row) for row in result[:8, :64]))
    print(f"{result.sum()} cells live; equal to the sequential run: {np.array_equal(result, board)}")


if __name__ == "__main__":
    main()
