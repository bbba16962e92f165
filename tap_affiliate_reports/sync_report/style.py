"""The style of the page: two columns of colours, and a layout that folds on a narrow screen."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f8; --card: #ffffff; --line: #e4e6ea; --ink: #1d2126; --muted: #626a75;
  --accent: #4759b8; --now: #8f9fe0; --earlier: #dde1ec; --grid: #eceef1;
  --complete: #7cc5aa; --settled: #2f9a76; --open: #8bb4ea; --missing: #dd9f22;
  --failed: #d14638;
  --queued: #d5d9df; --running: #9fb0ea; --download: #4759b8; --waiting: #d8cdb4;
  --emitted: #2f9a76;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121418; --card: #1a1d22; --line: #2a2e36; --ink: #e7e9ec; --muted: #9aa3af;
    --accent: #93a4fa; --now: #6f80cf; --earlier: #343a4c; --grid: #262a31;
    --complete: #2b7159; --settled: #46b38e; --open: #4a79bd; --missing: #d39a2c;
    --failed: #f0695b;
    --queued: #3a404a; --running: #54629f; --download: #93a4fa; --waiting: #635a44;
    --emitted: #46b38e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1200px; margin: 0 auto; padding: 40px 32px 24px; }
h1, h2, h3, p, ul, dl, dd { margin: 0; padding: 0; }
h1 { font-size: 26px; line-height: 1.25; font-weight: 650; letter-spacing: -0.015em; }
h2 { font-size: 16px; font-weight: 650; }
h3 { font-size: 13.5px; font-weight: 600; overflow-wrap: anywhere; }
ul { list-style: none; }
bdi { unicode-bidi: isolate; }
.muted, .note { color: var(--muted); }
.note { font-size: 13px; }
.below { margin-top: 8px; }
header { display: flex; gap: 16px; align-items: flex-start; }
.mark { flex: none; width: 36px; height: 36px; margin-top: 2px; }
.mark circle { fill: var(--settled); }
.mark path { fill: none; stroke: var(--card); stroke-width: 2.5; stroke-linecap: round;
  stroke-linejoin: round; }
.failed .mark circle { fill: var(--failed); }
.incomplete .mark circle, .stopped .mark circle { fill: var(--missing); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 16px; margin-top: 28px; }
.tile, .card {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
.tile { padding: 16px 20px; }
.tile dt { color: var(--muted); font-size: 13px; }
.tile .value { font-size: 28px; line-height: 1.3; font-weight: 600; letter-spacing: -0.02em; }
.tile .note { line-height: 1.4; }
.meter { height: 6px; border-radius: 3px; background: var(--grid); overflow: hidden;
  margin: 6px 0; }
.meter span { display: block; height: 100%; background: var(--accent); }
section { margin-top: 32px; }
.head { display: flex; flex-wrap: wrap; gap: 4px 24px; align-items: baseline;
  justify-content: space-between; margin-bottom: 12px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 13px; color: var(--muted); }
.legend span::before { content: ""; display: inline-block; width: 10px; height: 10px;
  border-radius: 3px; margin-right: 6px; background: var(--swatch); }
.problems li { padding: 14px 20px; border-left: 4px solid var(--failed); }
.problems li.left { border-left-color: var(--missing); }
.problems li + li { border-top: 1px solid var(--line); }
.problems.card { overflow: hidden; }
.problems p, .warnings li { overflow-wrap: anywhere; }
.stream { display: grid; grid-template-columns: 290px minmax(0, 1fr) 150px; gap: 4px 24px;
  padding: 14px 20px; align-items: center; }
.stream + .stream { border-top: 1px solid var(--line); }
.stream h3 { display: flex; gap: 8px; }
.dot { flex: none; width: 8px; height: 8px; border-radius: 50%; margin-top: 7px;
  background: var(--swatch); }
.day { white-space: nowrap; }
.stream .names { min-width: 0; }
.stream .names .note { padding-left: 16px; overflow-wrap: anywhere; }
.stream .figure { text-align: right; }
.stream .figure b { font-size: 17px; font-weight: 600; }
svg { display: block; width: 100%; }
.rows { height: 44px; border-bottom: 1px solid var(--line); }
.rows .now { fill: var(--now); }
.rows .earlier { fill: var(--earlier); }
.grid { fill: none; stroke: var(--grid); stroke-width: 1; vector-effect: non-scaling-stroke; }
.program { display: flex; align-items: center; gap: 8px; margin-top: 4px; }
.program bdi { max-width: 40%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.program .strip { flex: 1; min-width: 0; }
.strip { height: 12px; }
.strip rect { stroke: var(--card); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.strip .complete { fill: var(--complete); }
.strip .settled { fill: var(--settled); }
.strip .open { fill: var(--open); }
.strip .missing { fill: var(--missing); }
.strip .failed { fill: var(--failed); }
.states { margin-top: 4px; }
.axis { position: relative; height: 18px; font-size: 12px; color: var(--muted); }
.axis span { position: absolute; white-space: nowrap; }
.stream.axis-row { padding-top: 6px; padding-bottom: 8px; }
.files { display: flex; flex-wrap: wrap; gap: 6px; }
.files li, .lists li { font-size: 13px; padding: 1px 8px; border-radius: 6px;
  border: 1px solid var(--line); overflow-wrap: anywhere; }
.lists { display: flex; flex-wrap: wrap; gap: 8px; padding: 14px 20px; }
.jobs { padding: 14px 20px; }
.jobs .row { display: grid; grid-template-columns: 390px minmax(0, 1fr) 90px; gap: 0 16px;
  align-items: center; }
.jobs .label { display: flex; gap: 6px; font-size: 13px; white-space: nowrap; overflow: hidden; }
.jobs .label bdi { overflow: hidden; text-overflow: ellipsis; }
.jobs .label .muted { flex: 0 0 auto; max-width: 65%; overflow: hidden; text-overflow: ellipsis; }
.jobs .took { font-size: 13px; text-align: right; color: var(--muted); white-space: nowrap;
  max-width: 90px; overflow: hidden; text-overflow: ellipsis; }
.jobs .bad { color: var(--failed); font-weight: 600; }
.job { height: 20px; }
.job .queued { fill: var(--queued); }
.job .running { fill: var(--running); }
.job .download { fill: var(--download); }
.job .waiting { fill: var(--waiting); }
.job .emitted { fill: var(--emitted); }
.warnings { padding: 4px 20px; }
.warnings li { padding: 8px 0; font-size: 14px; }
.warnings li + li { border-top: 1px solid var(--line); }
details summary { cursor: pointer; font-size: 14px; color: var(--muted); padding: 8px 0; }
footer { margin-top: 36px; font-size: 13px; color: var(--muted); }
@media (max-width: 820px) {
  main { padding: 24px 16px; }
  h1 { font-size: 22px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile { padding: 12px 14px; }
  .tile .value { font-size: 22px; }
  .stream { grid-template-columns: minmax(0, 1fr) auto; padding: 14px 16px; }
  .stream .middle { grid-column: 1 / -1; grid-row: 2; }
  .axis-row > :first-child, .axis-row > :last-child { display: none; }
  .axis span:nth-child(even) { display: none; }
  .jobs { padding: 14px 16px; }
  .jobs .row { grid-template-columns: minmax(0, 1fr) auto; }
  .jobs .row svg, .jobs .row .axis { grid-column: 1 / -1; grid-row: 2; }
  .jobs .axis-row .axis { grid-row: 1; }
  .job { height: 16px; margin-bottom: 4px; }
  .jobs .rest { display: none; }
}
"""
