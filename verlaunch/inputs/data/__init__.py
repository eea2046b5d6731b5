"""What people have (JSON, JSONL, parquet, hub datasets) -> the two parquet files that verl reads.

    prepared = prepare(Settings(sources("data/sample_math.json"), (), model_path), cache_dir())

Text only: rows with images, video or audio are counted and left out.
"""
