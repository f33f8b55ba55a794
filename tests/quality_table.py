"""What bench/quality makes of records: tests/quality_table.py, with Python's own unittest."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("quality", str(ROOT / "bench/quality"))
quality = importlib.util.module_from_spec(importlib.util.spec_from_loader("quality", loader))
loader.exec_module(quality)


def record(recipe, seed, distance, **other):
    row = {"recipe": recipe, "preset": "faces32", "seed": seed, "minutes": 4.0, "rate": 133.4, "images": 32000,
           "count": 1000, "fd_drawn": distance, "floor": 0.1, "loss": 0.2, "recall": 0.5, "precision": 0.6,
           "commit": "abc", "date": "2026-11-29 12:00", "machine": "a machine, 1 thread", "options": "--batch 32"}
    return {**row, **other}


def cells(text, recipe):
    """The row of a recipe, in the last table that has it."""
    row = [line for line in text.splitlines() if line.startswith(f"| `{recipe}` ")][-1]
    return [cell.strip() for cell in row.strip("|").split("|")]


class Tables(unittest.TestCase):
    BASE = [record("base", 1, 10), record("base", 2, 14)]

    def test_spread_ratio_and_order(self):
        text = quality.tables(self.BASE + [record("x0", 1, 8), record("x0", 2, 4)])
        self.assertEqual(cells(text, "base")[5:7], ["12.00 (10.00 to 14.00)", "1"])
        self.assertEqual(cells(text, "x0")[5:7], ["6.00 (4.00 to 8.00)", "0.50"])
        self.assertEqual(cells(text, "x0")[2:5], ["133", "32,000", "2"])
        self.assertLess(text.index("`x0`"), text.index("`base`"))  # the best first

    def test_a_difference_within_the_spread_of_base_is_none(self):
        for distance, expected in ((10, "none"), (13, "none"), (14, "none"), (9, "0.75"), (15, "1.25")):
            text = quality.tables(self.BASE + [record("x0", 1, distance)])
            self.assertEqual(cells(text, "x0")[6], expected)

    def test_without_a_spread_the_table_says_so(self):
        text = quality.tables([record("base", 1, 10), record("x0", 1, 5)])
        self.assertEqual(cells(text, "x0")[6], "0.50; base has one seed")
        self.assertEqual(cells(quality.tables([record("x0", 1, 5)]), "x0")[6], "base is missing")

    def test_only_equals_are_compared(self):
        for other in ({"machine": "another"}, {"preset": "faces64"}, {"minutes": 2.0}, {"count": 500},
                      {"minutes": None, "images": 64000}):
            text = quality.tables(self.BASE + [record("x0", 1, 5, **other)])
            self.assertEqual(text.count("## faces"), 2)
            self.assertEqual(cells(text, "x0")[6], "base is missing")

    def test_a_seed_counts_once_by_its_newest_line(self):
        text = quality.tables(self.BASE + [record("base", 2, 20, commit="def")])
        self.assertEqual(cells(text, "base")[4:6], ["2", "15.00 (10.00 to 20.00)"])
        self.assertEqual(cells(text, "base")[9], "abc, def")

    def test_no_records(self):
        self.assertEqual(quality.tables([]), "No runs yet.\n")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(vars(quality).update, RECORDS=quality.RECORDS, PAGE=quality.PAGE)
        quality.RECORDS, quality.PAGE = pathlib.Path(folder.name, "records.jsonl"), pathlib.Path(folder.name, "page.md")

    def test_the_page_keeps_its_head(self):
        quality.PAGE.write_text(f"# Head\n\n{quality.MARK}\nold\n")
        quality.renew_page()
        self.assertEqual(quality.PAGE.read_text(), f"# Head\n\n{quality.MARK}\n\nNo runs yet.\n")
        quality.add(record("base", 1, 10))
        quality.add(record("base", 2, 14))
        quality.renew_page()
        text = quality.PAGE.read_text()
        self.assertTrue(text.startswith(f"# Head\n\n{quality.MARK}\n\n## faces32, 4 minutes\n"))
        self.assertEqual(cells(text, "base")[5], "12.00 (10.00 to 14.00)")
        quality.renew_page()
        self.assertEqual(quality.PAGE.read_text(), text)
        quality.PAGE.write_text("no line\n")
        self.assertRaises(quality.Failed, quality.renew_page)

    def test_a_damaged_line_is_named(self):
        quality.add(record("base", 1, 10))
        with quality.RECORDS.open("a") as file:
            file.write('{"recipe": "ba')
        self.assertRaisesRegex(quality.Failed, ":2 is damaged", quality.records)

    def test_what_is_in_the_records_is_recognised(self):
        flags = quality.RECIPES["base"].options()
        quality.add(record("base", 1, 10, options=flags))
        quality.add(record("base", 1, 10, minutes=None, images=64000, options=flags))
        quality.add(record("patch2", 1, 10, options=flags))  # as it was before the recipe changed

        def known(*arguments, recipe="base", seed=1, commit="abc", machine="a machine, 1 thread"):
            one = quality.Run(quality.parse(["faces", *arguments]), commit, machine, recipe, seed)
            return any(map(one.is_record, quality.records()))
        self.assertTrue(known() and known("--minutes", "4") and known("--images", "64000"))
        for arguments in (["--minutes", "5"], ["--images", "32000"], ["--preset", "tiny"], ["--count", "20"]):
            self.assertFalse(known(*arguments), arguments)
        for other in ({"recipe": "x0"}, {"recipe": "patch2"}, {"seed": 2}, {"commit": "def"}, {"machine": "another"}):
            self.assertFalse(known(**other), other)


class Tree(unittest.TestCase):
    def test_a_recipe_that_shares_a_training_has_its_flags(self):
        for name, recipe in quality.RECIPES.items():
            if recipe.of:
                other = quality.RECIPES[recipe.of]
                self.assertEqual((recipe.train, other.of), (other.train, ""), name)
                self.assertNotEqual(recipe.options(), other.options(), name)

    def test_the_page_shows_the_records(self):
        head, tables = quality.PAGE.read_text().split(quality.MARK)
        self.assertEqual(tables, "\n\n" + quality.tables(quality.records()), "renew it: bench/quality")
        self.assertIn("FD-drawn", head)


if __name__ == "__main__":
    unittest.main()
