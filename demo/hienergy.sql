-- The rows of each table.
SELECT 'advertisers_csv' AS "table", count(*) AS "rows" FROM affiliate.advertisers_csv
UNION ALL SELECT 'clicks_details_excel', count(*) FROM affiliate.clicks_details_excel
UNION ALL SELECT 'deals_excel', count(*) FROM affiliate.deals_excel
UNION ALL SELECT 'exports', count(*) FROM affiliate.exports
UNION ALL SELECT 'hot_advertisers_excel', count(*) FROM affiliate.hot_advertisers_excel
