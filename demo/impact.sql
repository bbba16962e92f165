-- The actions of each month by status, and what they pay in each currency.
SELECT
  left(_window_start, 7) AS "month",
  status,
  count(*) AS actions,
  coalesce(round(sum(payout::DECIMAL(38, 18)) FILTER (currency = 'USD'), 2), 0) AS "USD",
  coalesce(round(sum(payout::DECIMAL(38, 18)) FILTER (currency = 'EUR'), 2), 0) AS "EUR",
  coalesce(round(sum(payout::DECIMAL(38, 18)) FILTER (currency = 'JPY'), 2), 0) AS "JPY"
FROM affiliate.mp_action_listing_fast
WHERE _sdc_deleted_at IS NULL
GROUP BY ALL
ORDER BY ALL
