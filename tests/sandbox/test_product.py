"""What tests read of a product's log while it writes."""

from __future__ import annotations

from pathlib import Path

from sandbox.product import Product


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    with Product(tmp_path, {}) as product:
        product.log_path.write_text('a word of gunicorn\'s\n{"n": 1}\n{"n": "\u2028 is no line\'s end"}\n{"n": 3, "cont')
        seen = product.logs()
        product.log_path.write_text('{"n": 3}\n')
        assert (seen, product.logs()) == ([{"n": 1}, {"n": "\u2028 is no line's end"}], [{"n": 3}])
