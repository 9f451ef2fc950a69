"""An nbgrader preprocessor: a find-the-fault exercise starts from its faulty code, not from an empty body."""

from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor

from tl_course import exercises
from tl_course.exercises.engine.stub import marker, stub


class StarterCode(NbGraderPreprocessor):
    """Puts the bank's faulty code into the answer cells of find-the-fault exercises. Runs after ClearSolutions."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """The cell, with its starting code where it is such an answer cell."""
        starters = {
            f"{exercise.id}-{framework}": f"{marker(exercise.id, framework)}\n{stub(variant).strip()}"
            for exercise in exercises.all_exercises()
            for framework, variant in exercise.variants.items()
            if variant.starter is not None
        }
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in starters:
            cell.source = starters[grade_id]
        return cell, resources
