"""How the page looks, in the light and in the dark, on a screen and on paper."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --card: #f6f7f9; --ink: #16181d; --soft: #5b6270; --line: #dfe2e8;
  --c1: #2a78d6; --c2: #e0662b; --c3: #1a9c6b; --c4: #9a5bd2; --c5: #c99a06; --c6: #d6406f; --c7: #3a9fb5; --c8: #7b8494;
  --good: #12805c; --bad: #c2312b; --busy: #2a6fc4; --wait: #8a6100 }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1d2026; --ink: #e9ebef; --soft: #a0a8b5;
  --line: #333843; --c1: #4c94ea; --c2: #ee7f49; --c3: #35b884; --c4: #b27fe6; --c5: #d9b02c; --c6: #e86892;
  --c7: #57bcd2; --c8: #98a1b0; --good: #41c191; --bad: #f0746d; --busy: #6aa9f2; --wait: #dcae3c } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 74rem; padding: 2rem 1.5rem 4rem; background: var(--paper); color: var(--ink); overflow-wrap: break-word;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
h3, h4 { font-size: .95rem; margin: 1.3rem 0 .4rem; overflow-wrap: anywhere }
h2.file { font-size: 1.4rem; margin-top: 3.6rem; overflow-wrap: anywhere } h2.file .badge { font-size: .85rem }
section > section > h3 { font-size: 1.1rem; margin: 2rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
a { color: var(--busy) } a.error { color: var(--bad) } a.warning { color: var(--wait) }
p { margin: .4rem 0 }
header .top { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .6rem }
.soft { color: var(--soft) }
.badge { display: inline-block; border: 1.5px solid currentColor; border-radius: 99px; padding: .05rem .7rem; font-weight: 600; font-size: .85rem }
.succeeded { color: var(--good) } .failed { color: var(--bad) } .cancelled { color: var(--soft) }
.running, .pausing { color: var(--busy) } .queued, .paused, .validating_files { color: var(--wait) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1.3rem 0 0 }
.tile { background: var(--card); border-radius: 8px; padding: .7rem .9rem }
.tile b { display: block; font-size: 1.25rem; font-weight: 650; line-height: 1.3; overflow-wrap: anywhere }
.tile span { color: var(--soft); font-size: .82rem }
.callout { border-left: 4px solid var(--bad); background: var(--card); padding: .6rem .9rem; margin: 1.2rem 0 0;
  overflow-wrap: anywhere }
.callout.wait { border-color: var(--wait) }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem 1.6rem;
  align-items: start }
figure { margin: .3rem 0 1rem }
figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; font-size: .9rem }
svg { display: block } svg.bar { width: 100%; height: 22px; border-radius: 4px; margin-bottom: .5rem }
svg.plot { margin: .4rem .75rem 0 4rem; width: calc(100% - 4.75rem); overflow: visible }
svg.bars { margin-left: 3.2rem; width: calc(100% - 3.95rem) }
svg.share { display: inline-block; width: min(9rem, 13vw); height: .6rem; margin-right: .7rem; background: var(--card); border-radius: 2px }
svg text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums }
.grid { stroke: var(--line); stroke-width: 1 } .line { fill: none; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke }
.hit { fill: transparent } g:hover > .hit { fill: var(--line) }
.s1 { stroke: var(--c1) } .s2 { stroke: var(--c2) } .s3 { stroke: var(--c3) } .s4 { stroke: var(--c4) }
.f1 { fill: var(--c1) } .f2 { fill: var(--c2) } .f3 { fill: var(--c3) } .f4 { fill: var(--c4) }
.f5 { fill: var(--c5) } .f6 { fill: var(--c6) } .f7 { fill: var(--c7) } .f8 { fill: var(--c8) }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; color: var(--soft) } .legend b { color: var(--ink) }
.key::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .4em;
  background: currentColor }
.c1::before { color: var(--c1) } .c2::before { color: var(--c2) } .c3::before { color: var(--c3) }
.c4::before { color: var(--c4) } .c5::before { color: var(--c5) } .c6::before { color: var(--c6) }
.c7::before { color: var(--c7) } .c8::before { color: var(--c8) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 50% }
th, td { text-align: left; padding: .28rem 1.1rem .28rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap }
.facts th { color: var(--soft); font-weight: 500; white-space: nowrap } .facts td { overflow-wrap: anywhere }
td.number, th.number { text-align: right }
td.warn { color: var(--wait); font-weight: 600 } td.error { color: var(--bad); font-weight: 600 }
code { font: .86em ui-monospace, "SF Mono", Menlo, Consolas, monospace }
table:not(.facts) td { white-space: nowrap } table td.wrap { white-space: normal; overflow-wrap: anywhere }
.name { display: inline-block; max-width: min(28rem, 38vw); white-space: normal; overflow-wrap: break-word }
.facts code { overflow-wrap: anywhere } .scroll + .scroll { margin-top: 1rem }
details { margin: .6rem 0 } summary { cursor: pointer; color: var(--soft) }
.sample { background: var(--card); border-radius: 8px; padding: .7rem .9rem; margin: .6rem 0 }
.sample p { white-space: pre-wrap; overflow-wrap: anywhere }
.sample .facts td { white-space: pre-wrap }
.bars rect { fill: var(--c1) } .bars rect.over { fill: var(--c2) }
.bars .limit { stroke: var(--ink); stroke-dasharray: 4 3 }
.bars rect:hover { opacity: .75 }
.faults li { margin: .35rem 0; overflow-wrap: anywhere } .faults { padding-left: 1.2rem; margin: .3rem 0 }
.valid { color: var(--good) } .refused { color: var(--bad) }
.tokens { background: var(--card); border-radius: 8px; padding: .8rem 1rem; margin: .6rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 14px/2 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
.t { border-radius: 3px; padding: .1em 0; box-shadow: inset -1px 0 0 var(--line) }
.t.trained { background: color-mix(in srgb, var(--good) 15%, transparent); border-bottom: 2px solid var(--good); font-weight: 600 }
.t.masked { color: var(--soft) }
.t.cut { color: var(--bad); text-decoration: line-through; background: color-mix(in srgb, var(--bad) 8%, transparent) }
.tokens summary { font: 13px/1.6 system-ui, sans-serif; text-decoration: underline dotted } .tokens details { margin: .2rem 0 }
.t:hover { outline: 2px solid var(--busy) }
body:has(#ids:checked) .t { white-space: pre } body:has(#ids:checked) .tokens { overflow-x: auto }
body:has(#ids:checked) .t::after { content: attr(data-id); font-size: .68em; vertical-align: super; font-weight: 400;
  color: var(--soft); margin: 0 .35em 0 .1em; display: inline-block; text-decoration: none }
.signs { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: 1.2rem 0 0; align-items: baseline }
.signs label { cursor: pointer } .signs .t { font: 14px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, monospace; padding: .1em .3em }
footer { margin-top: 3rem; color: var(--soft); font-size: .82rem }
@media print { body { max-width: none; padding: 0 } h2, figure, .sample { break-inside: avoid } }
"""

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
"""Lets a browser use the stylesheet above and load or run nothing at all."""
