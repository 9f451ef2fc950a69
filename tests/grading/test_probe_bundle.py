"""What a submission's process gets of an exercise: enough to observe an answer, and nothing that gives it away."""

import ast
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tl_course import exercises
from tl_course.errors import CourseError
from tl_course.exercises.engine.checking import verdict_of
from tl_course.exercises.engine.exercise import Exercise
from tl_course.grading import probe_bundle
from tl_course.grading.judging import run_of
from tl_course.grading.plan import answer_task
from tl_course.grading.sandbox import Warm

IDS = exercises.ids()
FRAMEWORKS_OF_SAMPLE = ("numpy", "pytorch")
KERAS = 2  # exercises of the sample that are run in Keras too, which takes long to import
SEED = 7
COMMON = {  # lines that anybody writes, which say nothing of an answer
    "with torch.no_grad():",
    "for group in optimizer.param_groups:",
    "def call(self, inputs, training=False):",
    "def __getitem__(self, index):",
    "def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):",
    "x = layers.GlobalAveragePooling2D()(x)",
    "parts = [model.embeddings, *model.layers, model.head]",
}


def variants(exercise: Exercise) -> Iterator[tuple[str, dict[str, str]]]:
    for framework in exercise.variants:
        yield framework, probe_bundle.bundle(exercise.id, framework)


def code_lines(source: str) -> set[str]:
    """Lines that could give an answer away: as they would be written by `ast.unparse`, without imports."""
    tree = ast.parse(source)
    lines = {line.strip() for text in (source, ast.unparse(tree)) for line in text.splitlines()}
    return {line for line in lines if len(line) > 15 and not line.startswith(("import ", "from ", "#", '"""'))}


@pytest.mark.parametrize("exercise_id", IDS)
def test_a_bundle_compiles_and_ends_with_the_probe(exercise_id):
    for framework, bundle in variants(exercises.get(exercise_id)):
        for module, text in bundle.items():
            compile(text, module, "exec")
        *_others, last = bundle.values()
        functions = [node.name for node in ast.parse(last).body if isinstance(node, ast.FunctionDef)]
        assert probe_bundle.probe_name(exercise_id, framework) in functions


@pytest.mark.parametrize("exercise_id", IDS)
def test_a_bundle_holds_no_answer(exercise_id):
    exercise = exercises.get(exercise_id)
    for framework, bundle in variants(exercise):
        told = {line.strip() for text in bundle.values() for line in text.splitlines()}
        variant = exercise.variant(framework)
        for source in (variant.reference, *variant.alternatives.values()):
            assert code_lines(source) & told <= COMMON
            assert source.strip() not in "\n".join(bundle.values())


@pytest.mark.parametrize("exercise_id", IDS)
def test_a_bundle_holds_no_judge_and_no_mistakes(exercise_id):
    exercise = exercises.get(exercise_id)
    for framework, bundle in variants(exercise):
        text = "\n".join(bundle.values())
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        defined = {getattr(node, "name", "") for node in ast.walk(ast.parse(text))}
        assert not names & {"Mistake", "Finding", "Criterion", "Variant", "Exercise", "default_rng"}
        assert exercise.judge.__name__ not in defined | names and "judge" not in defined | names
        messages = [mistake.message for mistake in exercise.variant(framework).mistakes.values()]
        assert [message for message in messages if message in text] == []


@pytest.mark.parametrize("exercise_id", IDS)
def test_a_bundle_needs_no_module_of_the_bank_but_its_own(exercise_id):
    for _framework, bundle in variants(exercises.get(exercise_id)):
        ready: set[str] = set()
        for module, text in bundle.items():
            for other, _names in probe_bundle._bank_imports(ast.parse(text).body):
                assert other in ready, f"{module} imports {other}, which does not come before it"
            ready.add(module)


def sample() -> list[tuple[str, str]]:
    """The last exercise of each lesson in NumPy or PyTorch, and some in Keras."""
    chosen = {}
    for exercise in exercises.all_exercises():
        for framework in FRAMEWORKS_OF_SAMPLE:
            if framework in exercise.variants and exercise.variant(framework).uses is None:
                chosen[exercise.lesson, framework] = exercise.id
    pairs = [(exercise_id, framework) for (_lesson, framework), exercise_id in chosen.items()]
    keras = [exercise.id for exercise in exercises.all_exercises() if "keras" in exercise.variants]
    return [*pairs, *[(exercise_id, "keras") for exercise_id in keras[:KERAS]]]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    started = Warm(["numpy", "torch", "keras"])
    yield started
    started.close()


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_references_pass_where_there_is_no_bank(warm):
    short = {}
    for exercise_id, framework in sample():
        exercise = exercises.get(exercise_id)
        cases = exercise.draw(SEED)
        task = answer_task(exercise, framework, exercise.variant(framework).reference, cases)
        with warm.sandbox() as sandbox:
            reply = sandbox.ask(task, exercise.time_limit)
        run = run_of({"state": reply.state, "value": reply.value}, len(cases))
        verdict = verdict_of(exercise, framework, SEED, cases, run)
        if verdict.score != 1.0:
            short[exercise_id, framework] = verdict.problem or verdict.findings
    assert len(sample()) >= 12 and short == {}


@pytest.mark.sandbox
def test_a_numpy_reference_passes_and_a_mistake_does_not():
    exercise = exercises.get("accuracy")
    variant, cases = exercise.variant("numpy"), exercise.draw(SEED)
    mistake = next(iter(variant.mistakes.values())).code(variant.reference)
    started = Warm(["numpy"])
    try:
        with started.sandbox() as sandbox:
            for source, passes in ((variant.reference, True), (mistake, False)):
                reply = sandbox.ask(answer_task(exercise, "numpy", source, cases), 10.0)
                run = run_of({"state": reply.state, "value": reply.value}, len(cases))
                assert verdict_of(exercise, "numpy", SEED, cases, run).passed is passes
    finally:
        started.close()


def test_a_probe_has_to_be_a_function_of_a_module(monkeypatch):
    variant = replace(exercises.get("accuracy").variant("numpy"), probe=lambda candidate, inputs: {})
    monkeypatch.setattr(Exercise, "variant", lambda exercise, framework: variant)
    with pytest.raises(CourseError, match="top level"):
        probe_bundle.bundle.__wrapped__("accuracy", "numpy")
