"""Exercises are numbered by chapter, 4.1 and 4.2, on the site as in a notebook.

sphinx-exercise counts through the whole book, and JupyterLab through one notebook. Both show what
`:enumerator:` says (JupyterLab by itself); `make refresh` writes it (tools/chapters/solutions.py).
"""

from docutils.parsers.rst import directives
from sphinx_exercise.directive import ExerciseStartDirective


class NumberedExercise(ExerciseStartDirective):
    """`exercise-start` with a number of its own."""

    option_spec = {  # noqa: RUF012 (docutils reads it from the class)
        **ExerciseStartDirective.option_spec,
        "enumerator": directives.unchanged_required,
    }

    def run(self):
        """Make the exercise, and remember its number by its label."""
        if number := self.options.pop("enumerator", None):
            numbers = self.env.metadata[self.env.docname].setdefault("exercise_numbers", {})
            numbers[self.options["label"]] = tuple(number.split("."))
        return super().run()


def number_by_chapter(app, env):
    """Put each exercise's own number in the place of the one that Sphinx has counted."""
    for page, counted in env.toc_fignumbers.items():
        counted.get("exercise", {}).update(env.metadata[page].get("exercise_numbers", {}))


def setup(app):
    app.setup_extension("sphinx_exercise")
    app.add_directive("exercise-start", NumberedExercise, override=True)
    # After Sphinx has kept its own numbers, by which it knows what to write again next time.
    app.connect("env-check-consistency", number_by_chapter)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
