"""What an answer might contain to script, frame or load something: twenty ways, for the renderer and for a browser."""

from __future__ import annotations

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=https://evil.example/a.png onerror=alert(2)>",
    "![picture](https://evil.example/b.png)",
    "![picture](javascript:alert(3))",
    "[click me](javascript:alert(4))",
    "[click me](JaVaScRiPt&#58;alert(5))",
    "[click me](data:text/html;base64,PHNjcmlwdD5hbGVydCg2KTwvc2NyaXB0Pg==)",
    "[click me](vbscript:msgbox(7))",
    "<iframe src=https://evil.example/c></iframe>",
    "<object data=https://evil.example/d></object><embed src=https://evil.example/e>",
    "<svg onload=alert(8)><use href=https://evil.example/f#x></use></svg>",
    "<link rel=stylesheet href=https://evil.example/g.css><style>@import url(https://evil.example/h.css)</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/i'>",
    "<base href=https://evil.example/><form action=https://evil.example/j><button autofocus onfocus=alert(9)>x</form>",
    '<https://evil.example/"onmouseover="alert(10)>',
    '[x](https://evil.example/k "title\\" onmouseover=alert(11) style=position:fixed")',
    "```html\n</code></pre><script>alert(12)</script>\n```",
    "| a |\n|---|\n| <img src=x onerror=alert(13)> |\n| [y](javascript:alert(14)) |",
    "<div hx-get=/account/logout/ hx-trigger=load></div><a href=/admin/ hx-boost=true>x</a>[mine](/account/logout/)",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(15)&gt;'>",
)
