{%- set conditions = silver_constraints(var('source_contract')) %}

with

loads as (

    select * from {{ ref('loads') }}

),

customers as (

    select * from {{ ref('customers') }}

),

rejected_rows as (

    select * from {{ ref('rejected_rows') }}

),

features as (

    select * from {{ ref('audit_customer_features') }}

),

labels as (

    select * from {{ ref('audit_churn_labels') }}

),

-- validated against the declared rules again
customer_figures as (

    select
        _batch_id as batch_id,
        count(*) as silver_rows,
        count_if(
            not coalesce(
                {%- for condition in conditions %}
                {{ 'and ' if not loop.first }}{{ condition }}
                {%- endfor %},
                false
            )
        ) as invalid_customers

    from customers

    group by _batch_id

),

reject_figures as (

    select
        _batch_id as batch_id,
        count_if(reasons[1].code = 'exact_duplicate') as exact_duplicates,
        count_if(reasons[1].code != 'exact_duplicate') as rejected_rows

    from rejected_rows

    group by _batch_id

),

feature_figures as (

    select
        batch_id,
        count(*) as feature_rows,
        count(distinct customer_id) as customers,
        avg(cast(
            abs(total_charges - tenure * monthly_charges) > 0.2 * tenure * monthly_charges as int
        )) as atypical_total_share

    from features

    group by batch_id

),

label_figures as (

    select
        batch_id,
        count(*) as label_rows,
        count(distinct customer_id) as labelled_customers,
        count(churned) as labels,
        avg(churned) as churn_rate

    from labels

    group by batch_id

),

counts as (

    select
        loads.batch_id,
        loads.extract_date,
        loads.bronze_rows,
        coalesce(customer_figures.silver_rows, 0) as silver_rows,
        coalesce(customer_figures.invalid_customers, 0) as invalid_customers,
        coalesce(reject_figures.exact_duplicates, 0) as exact_duplicates,
        coalesce(reject_figures.rejected_rows, 0) as rejected_rows,
        coalesce(feature_figures.feature_rows, 0) as feature_rows,
        coalesce(feature_figures.customers, 0) as customers,
        coalesce(label_figures.label_rows, 0) as label_rows,
        coalesce(label_figures.labelled_customers, 0) as labelled_customers,
        coalesce(label_figures.labels, 0) as labels,
        label_figures.churn_rate,
        feature_figures.atypical_total_share

    from loads

    left join customer_figures
        on loads.batch_id = customer_figures.batch_id

    left join reject_figures
        on loads.batch_id = reject_figures.batch_id

    left join feature_figures
        on loads.batch_id = feature_figures.batch_id

    left join label_figures
        on loads.batch_id = label_figures.batch_id

),

final as (

    select
        batch_id,
        extract_date,
        customers::double as customers,
        (feature_rows - customers + label_rows - labelled_customers)::double as duplicate_keys,
        (feature_rows - labels)::double as customers_without_label,
        coalesce(rejected_rows / nullif(bronze_rows - exact_duplicates, 0), 0) as reject_share,
        abs(bronze_rows - silver_rows - rejected_rows - exact_duplicates)::double
            as unreconciled_rows,
        (abs(silver_rows - feature_rows) + abs(silver_rows - label_rows))::double
            as candidate_row_mismatch,
        invalid_customers::double as invalid_customers,
        churn_rate,
        atypical_total_share

    from counts

)

select * from final
