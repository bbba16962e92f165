"""Reports that are made by jobs elsewhere: request, poll, download.

A stream gives the flow an `ExportOrder` (order.py) for each file. The flow (flow.py) keeps an
`Export` (export.py) with the progress of each. It takes one step after another (steps.py) and acts
on the outcomes (outcomes.py). polling.py says which jobs are due, quota.py how many exports remain,
download.py fetches files in the background. A network implements `ExportSource` (job.py).
"""
