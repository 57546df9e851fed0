"""Names in Java that pyspark looks up again for each column, function and model: here they are looked up once.

A look-up is a message to Java and back. One that fails, as it does for each package in front of a class, goes through
all jars, some 300.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py4j.java_gateway import JVMView

FUNCTIONS = "org.apache.spark.sql.functions"
# What pyspark calls a class, and which one it is.
CLASSES = {
    "functions": FUNCTIONS,
    FUNCTIONS: FUNCTIONS,
    "PythonUtils": "org.apache.spark.api.python.PythonUtils",
}
METHODS = ("col", "lit")
PACKAGES = ("org.apache.spark.ml.feature", "org.apache.spark.ml.regression", "py4j.reflection")


def remember_names(jvm: JVMView) -> None:
    """Keeps classes, two methods and packages where py4j looks for them before it asks Java."""
    classes = {name: getattr(jvm, name) for name in set(CLASSES.values())}
    for method in METHODS:
        setattr(classes[FUNCTIONS], method, getattr(classes[FUNCTIONS], method))
    for called, name in CLASSES.items():
        setattr(jvm, called, classes[name])
    for package in PACKAGES:
        inside: Any = jvm
        for part in package.split("."):
            setattr(inside, part, getattr(inside, part))
            inside = getattr(inside, part)
