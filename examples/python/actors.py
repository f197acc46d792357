"""Bank accounts: actors keep state, run calls in order, raise errors of the user's own, and their handles go anywhere."""

from __future__ import annotations

from typing import Any

import mobula


class NotEnoughError(Exception):
    """An account holds less than was wanted."""


@mobula.remote
class Account:
    """One value that lives in one process, whose methods run one after another: nothing here needs a lock."""

    def __init__(self, owner: str, balance: int) -> None:
        if balance < 0:
            raise ValueError(f"open an account for {owner}: the balance is {balance}")
        self.owner, self.balance = owner, balance

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise NotEnoughError(f"{self.owner} has {self.balance}, and {amount} is wanted")
        self.balance -= amount
        return self.balance


@mobula.remote(max_retries=0)  # one that was interrupted must not run a second time
def transfer(source: Any, target: Any, amount: int) -> None:
    """Moves an amount between two accounts; while it waits for them its CPU is lent to others."""
    mobula.get(source.withdraw.remote(amount))
    mobula.get(target.deposit.remote(amount))


def main() -> None:
    with mobula.init():
        ann, bob = Account.remote("Ann", 100), Account.remote("Bob", 0)
        mobula.get([transfer.remote(ann, bob, 10) for _ in range(5)])
        print("Ann has", mobula.get(ann.deposit.remote(0)), "and Bob has", mobula.get(bob.deposit.remote(0)))
        try:
            mobula.get(transfer.remote(ann, bob, 1000))
        except NotEnoughError as error:  # raised two processes away, caught by its own class here
            print("refused:", error.args[0] if error.args else error)
        try:
            mobula.get(Account.remote("Eve", -1).deposit.remote(1))
        except mobula.exceptions.ActorDiedError as error:
            print("no account:", "the balance is -1" in str(error))


if __name__ == "__main__":
    main()
