"""The smallest program: three tasks, of which the third takes the results of the others."""

import mobula


@mobula.remote
def square(x: int) -> int:
    return x * x


@mobula.remote
def add(a: int, b: int) -> int:
    return a + b


def main() -> None:
    with mobula.init():  # starts a node, which ends with this program
        x, y = square.remote(3), square.remote(4)  # returns at once: x and y are refs of results to come
        print(mobula.get(add.remote(x, y)))  # add runs when both are there; get waits for it


if __name__ == "__main__":
    main()
