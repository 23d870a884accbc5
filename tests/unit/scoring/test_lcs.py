from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import _summary_level_lcs, lcs_ind

from evalsvc.scoring.lcs import positions, union_hits

TOKENS = st.lists(st.sampled_from("abcd"), max_size=30)
SENTENCES = st.lists(TOKENS, max_size=6)


@given(TOKENS, TOKENS)
def test_of_the_longest_subsequences_it_is_rouge_scores(one: list[str], other: list[str]) -> None:
    wanted = set(lcs_ind(one, other)) if one and other else set()
    assert positions(one, other) == wanted


@given(SENTENCES, SENTENCES)
def test_the_union_is_rouge_scores(reference: list[list[str]], answer: list[list[str]]) -> None:
    wanted = _summary_level_lcs(reference, answer).recall * sum(map(len, reference))
    assert union_hits(reference, answer) == round(wanted)


def test_a_repeated_token_counts_no_more_often_than_both_have_it() -> None:
    assert union_hits([["a"], ["a"]], [["a"]]) == 1
    assert union_hits([["a"]], [["a"], ["a"]]) == 1
    assert union_hits([["a", "b"], ["c"]], [["c", "a"], ["b"]]) == 3
