"""What a command line gives a model: images in files, rows of tables, arrays and parquet files."""
