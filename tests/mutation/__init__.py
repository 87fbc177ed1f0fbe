"""Single tokens of the code are changed at random; the tests should notice: `python -m tests.mutation`.

A changed program that no test tells from the right one has survived. Some mean the same as what was there (`>` for `>=`
where both sides are never equal); which, a person has to judge, and so all survivors are listed with their lines.
"""
