-- What each month brought and cost.
SELECT
  left(_window_start, 7) AS "month",
  count(*) AS "rows",
  sum(clicks_aggr) AS clicks,
  sum(conversions_aggr) AS conversions,
  round(sum(cost_aggr::DECIMAL(38, 18)), 2) AS cost
FROM affiliate.advertiser_report
WHERE _sdc_deleted_at IS NULL
GROUP BY ALL
ORDER BY ALL
