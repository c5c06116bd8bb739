"""What facts make of lessons: named refusals at once, unnamed ones by halving, in whatever order and how often they come."""

from __future__ import annotations

import random
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.bedrock.learned import Learned
from proxy_app.bedrock.lessons import BETA, FIELD, Fact, Lessons, Verdict

A_WEEK = 7 * 86_400.0


def named(*names: str) -> Fact:
    return Fact(Verdict.NAMED, betas(*names))


def one_of(*names: str) -> Fact:
    return Fact(Verdict.ONE_OF, betas(*names))


def accepted(*names: str) -> Fact:
    return Fact(Verdict.ACCEPTED, betas(*names))


def betas(*names: str) -> frozenset[tuple[str, str]]:
    return frozenset((BETA, name) for name in names)


def after(*facts: Fact) -> Lessons:
    lessons = Lessons.none()
    for at, fact in enumerate(facts):
        lessons = lessons.after(fact, float(at))
    return lessons


class Upstream:
    """Refuses some betas, without saying which; counts the requests that had to be sent twice."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.corrected = 0

    def meet(self, lessons: Lessons, wanted: set[str]) -> Lessons:
        sent = self.first_try(lessons, wanted)
        if sent & self.refused:
            self.corrected += 1
            return lessons.after(one_of(*sent), 0.0)
        return lessons.after(accepted(*sent), 0.0)

    def meet_often(self, lessons: Lessons, requests: list[set[str]]) -> Lessons:
        for wanted in requests:
            lessons = self.meet(lessons, wanted)
        return lessons

    def meet_at_once(self, wanted: set[str], times: int, at_once: int, chance: random.Random) -> Lessons:
        """Each request was built from what was known up to `at_once` facts ago."""
        history = [Lessons.none()]
        for _ in range(times):
            sent = self.first_try(chance.choice(history[-at_once:]), wanted)
            fact = one_of(*sent) if sent & self.refused else accepted(*sent)
            history.append(history[-1].after(fact, 0.0))
        return history[-1]

    @staticmethod
    def first_try(lessons: Lessons, wanted: set[str]) -> set[str]:
        open_ = wanted - lessons.refused.betas
        return (open_ - lessons.doubted) | lessons.choice(open_ & lessons.doubted)

    def bound(self, names: int) -> int:
        return len(self.refused) * (ceil(log2(names)) + 1)


def test_a_named_refusal_is_a_lesson_at_once() -> None:
    lessons = after(Fact(Verdict.NAMED, frozenset({(BETA, "a"), (FIELD, "f")})))
    assert lessons.refused == Learned(frozenset("a"), frozenset("f"))


def test_all_that_was_sent_is_suspect_and_half_of_it_goes_with_the_next_request() -> None:
    lessons = after(one_of("a", "b", "c", "d"))
    assert (lessons.doubted, lessons.refused.betas) == (frozenset("abcd"), frozenset())
    assert lessons.choice("abcd") == {"a", "b"}


def test_what_is_accepted_is_cleared_and_the_last_suspect_is_the_culprit() -> None:
    lessons = after(one_of("a", "b", "c", "d"), accepted("a", "b"), accepted("c"))
    assert (lessons.refused.betas, lessons.doubted) == ({"d"}, frozenset())


def test_a_refused_half_is_halved_again_and_the_other_half_asked_about_later() -> None:
    lessons = after(one_of("a", "b", "c", "d"), one_of("a", "b"))
    assert lessons.choice("abcd") == {"a"}
    lessons = lessons.after(one_of("a"), 9.0)
    assert lessons.refused.betas == {"a"}
    assert lessons.choice("abcd") == {"b", "c", "d"}


def test_suspects_that_no_request_wants_do_not_keep_others_from_being_asked_about() -> None:
    lessons = after(one_of("a", "b", "c", "d"), one_of("a", "b"))
    assert lessons.choice("cd") == {"c", "d"}
    assert lessons.choice("xyz") == frozenset()


def test_a_request_that_wants_one_suspect_of_many_asks_about_it() -> None:
    assert after(one_of("a", "b", "c", "d")).choice("d") == {"d"}


def test_a_name_explains_the_refusal_of_its_group() -> None:
    lessons = after(one_of("a", "b", "c"), named("b"))
    assert (lessons.refused.betas, lessons.choice("abc")) == ({"b"}, {"a", "c"})


def test_a_new_beta_in_a_refused_test_is_a_suspect_of_its_own() -> None:
    upstream, wanted = Upstream({"b", "z"}), set("abcdz")
    lessons = after(one_of("a", "b", "c", "d"))
    lessons = upstream.meet_often(lessons, [wanted] * 10)
    assert (lessons.refused.betas, lessons.doubted) == ({"b", "z"}, frozenset())


def test_a_fact_from_a_request_that_knew_less_is_no_news() -> None:
    first = after(one_of("a", "b", "c", "d"), accepted("a", "b"))
    assert first.after(one_of("a", "b", "c", "d"), 9.0) is first
    found = first.after(accepted("c"), 9.0)
    assert found.after(one_of("a", "b", "c", "d", "e"), 10.0) is found


def test_what_is_accepted_after_all_is_sent_again() -> None:
    lessons = after(named("a"), accepted("a"))
    assert (lessons.refused.betas, lessons.doubted) == (frozenset(), frozenset())


def test_a_refusal_of_what_was_accepted_before_is_believed() -> None:
    lessons = after(one_of("a", "b"), accepted("a"), accepted("b"), one_of("a", "b"))
    assert lessons.doubted == {"a", "b"}


def test_with_nothing_in_doubt_an_acceptance_is_not_worth_a_note() -> None:
    assert Lessons.none().after(accepted("a", "b"), 1.0) is Lessons.none()


def test_a_lesson_expires_and_a_group_as_one() -> None:
    lessons = after(named("x")).after(one_of("a", "b", "c"), 100.0)
    assert lessons.newer_than(50.0).refused == Learned.nothing()
    assert lessons.newer_than(50.0).doubted == {"a", "b", "c"}
    assert lessons.newer_than(100.0).marks == {}


def test_a_name_outside_the_closed_list_is_not_used_and_does_not_make_a_culprit_of_its_neighbour() -> None:
    lessons = after(one_of("a", "b", "strange"), named("other")).within(betas("a", "b"))
    assert (lessons.refused.betas, lessons.doubted) == (frozenset(), {"a", "b"})
    assert lessons.choice("ab") == {"a", "b"}


def test_the_news_are_told_in_words() -> None:
    first = after(one_of("a", "b"))
    assert first.news(Lessons.none()) == ("one of 2 betas",)
    assert first.after(accepted("a"), 1.0).news(first) == ("beta b",)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 24))
def test_halving_finds_every_culprit_within_its_bound_and_sends_the_rest_again(seed: int, count: int) -> None:
    chance = random.Random(seed)
    names = [f"beta-{number:02}" for number in range(count)]
    upstream = Upstream(set(chance.sample(names, chance.randint(1, min(4, count)))))
    lessons = upstream.meet_often(Lessons.none(), [set(names)] * (5 * count))
    assert upstream.first_try(lessons, set(names)) == set(names) - upstream.refused
    assert upstream.corrected <= upstream.bound(count)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 20))
def test_requests_that_want_different_betas_find_the_same(seed: int, count: int) -> None:
    chance = random.Random(seed)
    names = [f"beta-{number:02}" for number in range(count)]
    upstream = Upstream(set(chance.sample(names, chance.randint(1, min(4, count)))))
    requests = [set(chance.sample(names, chance.randint(1, count))) for _ in range(40 * count)]
    lessons = upstream.meet_often(Lessons.none(), requests)
    assert upstream.first_try(lessons, set(names)) == set(names) - upstream.refused
    assert upstream.corrected <= 2 * upstream.bound(count)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 16), st.integers(2, 8))
def test_many_requests_at_once_learn_the_same_whatever_they_knew_and_in_whatever_order_they_end(
    seed: int, count: int, at_once: int
) -> None:
    chance = random.Random(seed)
    names = [f"beta-{number:02}" for number in range(count)]
    upstream = Upstream(set(chance.sample(names, chance.randint(0, min(3, count)))))
    lessons = upstream.meet_at_once(set(names), 40 * count, at_once, chance)
    assert lessons.refused.betas <= upstream.refused
    assert upstream.first_try(lessons, set(names)) == set(names) - upstream.refused


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_workers_that_find_different_culprits_lose_none(order: tuple[int, int]) -> None:
    facts = (one_of("a", "b"), one_of("c", "d"))
    lessons = after(*(facts[each] for each in order), accepted("a"), accepted("c"))
    assert lessons.refused.betas == {"b", "d"}
