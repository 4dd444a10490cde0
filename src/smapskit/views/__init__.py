"""The model as DataFrames, tables, exports, HTML and plots."""
