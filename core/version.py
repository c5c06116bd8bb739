"""Which release this is. One constant, the same as in pyproject.toml (a test compares them): we run from a checkout, where no
package metadata is installed."""

VERSION = "0.1.0"
