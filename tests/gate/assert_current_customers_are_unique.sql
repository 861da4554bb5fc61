-- Each customer of the latest extract is in the views for readers once.
--
-- A failure is a key: its view, and the number of its rows. The views select from tables whose keys every
-- run tests, so that runs leave this test to `dbt build`.

{{ config(group='publishing', tags=['readers']) }}

{{ violations('customers_current', ['customer_id']) }}

union all

{{ violations('scores_current', ['customer_id']) }}
