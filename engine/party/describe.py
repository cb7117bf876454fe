"""A question in plain language, for the operator who decides about it: what is asked, about whom, and what would open to whom."""

from __future__ import annotations

from engine.analyses.base import STOPS, Output, Plan
from engine.party import gate
from engine.plan import AnalysisPlan
from engine.spec import Spec

ANALYSES = {
    "describe": "counts, means and spread",
    "missing": "counts of missing values",
    "crosstab": "a table of counts with a chi-square test",
    "ols": "a linear regression",
    "logit": "a logistic regression",
    "poisson": "a Poisson regression",
}

_CLASSES = {
    "count": "a count over all hospitals",
    "aggregate": "a sum or mean over all hospitals",
    "estimate": "estimates from all hospitals together",
    "variance": "their uncertainty",
    "covariance": "their joint uncertainty",
    "flag": "yes or no",
}


def describe_plan(plan: AnalysisPlan) -> str:
    """What is agreed to with a plan, whose questions are described one by one."""
    purpose = " ".join(plan.purpose.split())  # on lines of its own it could look like what this program says
    return (
        f"{plan.researcher} asks {len(plan.questions)} questions under one plan, {plan.title!r}: {purpose} "
        "When all parties "
        "have agreed, the disclosure rules are asked about every question, on shares, each beside earlier answers and the "
        "questions before it; all parties learn whether one is refused, and which is the first. If none is, they are answered in "
        "this order."
    )


def describe_question(spec: Spec, plan: Plan) -> str:
    """A few sentences."""
    what = ANALYSES.get(spec.analysis, spec.analysis)
    subject = spec.formula or ", ".join(spec.columns)
    sentences = [
        f"{spec.researcher} asks for {what}"
        + (f" of {subject}" if subject else "")
        + (f", for each level of {spec.by}." if spec.by else ".")
    ]
    sentences.append(f"About the people for whom {spec.where}." if spec.where else "About everybody in the study.")
    sentences.append(f"It reads the columns {', '.join(plan.columns)}.")
    if plan.listwise:
        sentences.append(f"People are left out where one of these is missing: {', '.join(plan.listwise)}.")
    references = ", ".join(f"{name} = {level}" for name, level in sorted(spec.reference.items()))
    if references:
        sentences.append(f"Compared with the level {references}.")
    options = ", ".join(f"{key} = {value}" for key, value in sorted(spec.options.items()))
    if options:
        sentences.append(f"Options: {options}.")
    if spec.disclosure == "steps":
        sentences.append("Its intermediate coefficients are opened to all parties after each step.")
    if spec.engine == "ckks":
        sentences.append(
            "No row leaves a hospital in any form: hospitals send masked sums, and sums computed on encrypted coefficients."
        )
    if plan.shares_rows:
        sentences.append(
            "For it every hospital shares its rows among the three compute parties, two of which together could read them."
        )
    return " ".join(sentences)


def describe_openings(plan: Plan) -> list[str]:
    """Everything that can become readable, and for whom; nothing else opens."""
    which = "not where; which only if it is the leverage rule" if plan.parameters else "not which or where"
    lines = [f"to all parties: whether a disclosure rule forbids the answer (yes or no, {which})"]
    lines += [f"to all parties, after each of at most {plan.max_stages} steps: {_line(output)}" for output in plan.opened]
    lines += [f"to all parties, after each of at most {plan.max_stages} steps: {name} (yes or no)" for name in plan.controls]
    lines += ["to all parties: whether the answer is determined at all (" + ", ".join(STOPS) + ")"]
    return lines + [f"to the researcher: {_line(output)}" for output in (*gate.OUTPUTS, *plan.outputs)]


def _line(output: Output) -> str:
    size = " x ".join(map(str, output.shape))
    return f"{output.name}{f' ({size} numbers)' if size else ''}: {_CLASSES[output.disclosure]}"
