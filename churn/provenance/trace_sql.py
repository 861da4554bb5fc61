"""Define the queries of a trace, stage by stage, for several customers at once.

`:customers` are ids as in silver, `:batches` loads, `:row_numbers` rows of their sheets.
"""

# The sheet's cell may have blanks around the id; the caller assigns the rows to customers.
SOURCE_ROWS = """
    select * from bronze.telco_customers
    where
        exists(array(:customers), each -> contains(`{id}`, each))
        -- rows of an interrupted ingest have no load record and are not used
        and _batch_id in (select batch_id from bronze.loads)
"""
LOADS = """
    select batch_id, extract_date, source_file, source_sha256, _loaded_at as loaded_at, load_number
    from {rows} order by load_number, _loaded_at, batch_id
"""
CLEANINGS = """
    select batch_id, rules_version, cleaned_at
    from silver.load_counts where batch_id in (:batches)
"""
SILVER_ROWS = """
    select * from {customers}
    where customer_id in (:customers) order by extract_date
"""
# Selected by row, because a rejected row may lack a usable id.
REJECTED_ROWS = """
    select _batch_id, _row_number, extract_date, reasons from {rejected_rows}
    where _batch_id in (:batches) and _row_number in (:row_numbers)
    order by extract_date, _row_number
"""
EVALUATIONS = """
    select batch_id, run_id, judged_at, rules_version, rule, severity, figure, threshold, verdict,
        compared_with
    from {rows} where batch_id in (:batches) and {reached}
    qualify rank() over (partition by batch_id order by struct(verdict_number, judged_at) desc) = 1
    order by verdict_number, judged_at, severity, rule
"""
VERDICTS = "select batch_id, extract_date, run_id, judged_at, verdict from {verdicts} as verdicts"
EVALUATED_BATCHES = "select distinct batch_id from {rows} where {reached}"
PUBLICATIONS = """
    select batch_id, extract_date, run_id, created_timestamp, published_at
    from {rows} order by extract_date, publication_number, published_at
"""
GOLD_ROWS = """
    select features.*, features._metadata.file_path as file, labels.churned,
        publications.batch_id, publications.run_id, publications.published_at,
        publications.publication_number
    from gold.customer_features as features
    inner join {rows} as publications
        on features.extract_date = publications.extract_date
        and features.created_timestamp = publications.created_timestamp
    left join gold.churn_labels as labels
        on features.customer_id = labels.customer_id
        and features.extract_date = labels.extract_date
        -- of the same load: the two tables are switched one after the other
        and features.created_timestamp = labels.created_timestamp
    where features.customer_id in (:customers)
    order by features.extract_date
"""
# The champion's score of the latest extract comes first: it is the relevant one.
SCORES = """
    select * from {scores}
    where customer_id in (:customers)
    order by extract_date desc, model_version = :champion desc, scored_at desc
"""
