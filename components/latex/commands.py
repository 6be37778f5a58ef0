r"""The LaTeX commands that the normalizer knows, as tables.

First the alphabet of normalized labels, whose spellings are those of MathWriting (Gervais et al., 2024); then
other spellings of the same; then what is not drawn, and constructs that are rewritten. docs/labels.md lists
the conventions.
"""

from __future__ import annotations

from components.latex.unicode_symbols import CHARACTERS


def _words(names: str) -> frozenset[str]:
    return frozenset("\\" + name for name in names.split())


def _split(names: str) -> list[str]:
    return names.split()


def _pairs(pairs: str) -> dict[str, str]:
    r"""`leq le, geq ge` as {"\leq": "\le", "\geq": "\ge"}."""
    return {"\\" + other: "\\" + name for other, name in (pair.split() for pair in pairs.split(","))}


# --- The alphabet of normalized labels ---

_LETTERS = _words("""
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
    phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega vartheta varpi varrho
    varsigma varphi varkappa digamma aleph beth gimel daleth hbar ell wp Re Im imath jmath partial nabla
    infty eth mho complement Finv Game backepsilon
""")
LARGE = _words("""
    sum prod coprod int iint iiint oint oiint oiiint bigcap bigcup bigsqcup bigoplus bigotimes
    bigodot biguplus bigvee bigwedge
""")
_BINARY = _words("""
    pm mp times div cdot ast star circ bullet oplus ominus otimes oslash odot dagger ddagger amalg cap
    cup uplus sqcap sqcup vee wedge bigcirc diamond wr ltimes rtimes boxplus boxminus boxtimes boxdot
    circledast circledcirc circleddash dotplus barwedge doublebarwedge veebar triangleleft triangleright
    bigtriangleup bigtriangledown Cap Cup curlyvee curlywedge intercal divideontimes leftthreetimes
    rightthreetimes
""")
_RELATIONS = _words("""
    le ge ll gg lll ggg ne equiv sim simeq approx approxeq cong propto asymp doteq triangleq prec succ
    preceq succeq in ni notin subset supset subseteq supseteq subsetneq supsetneq nsubseteq nsupseteq
    sqsubset sqsupset sqsubseteq sqsupseteq perp vdash dashv models vDash Vdash Vvdash bowtie smile frown
    lesssim gtrsim lessgtr gtrless nmid nparallel nleq ngeq nless ngtr ncong nsim trianglelefteq
    trianglerighteq not therefore because leqq geqq lneq gneq lneqq gneqq lnsim gnsim lessdot gtrdot
    lessapprox gtrapprox lesseqgtr gtreqless precsim succsim precapprox succapprox precnsim succnsim
    curlyeqprec curlyeqsucc nprec nsucc npreceq nsucceq nvdash nvDash nVdash nVDash ntriangleleft
    ntriangleright ntrianglelefteq ntrianglerighteq Subset Supset backsim backsimeq eqsim bumpeq Bumpeq
    doteqdot risingdotseq fallingdotseq circeq eqcirc between pitchfork
""")
_ARROWS = _words("""
    leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow uparrow downarrow
    updownarrow Uparrow Downarrow Updownarrow longleftarrow longrightarrow longleftrightarrow
    Longleftarrow Longrightarrow iff mapsto longmapsto hookleftarrow hookrightarrow leftharpoonup
    leftharpoondown rightharpoonup rightharpoondown rightleftharpoons leftrightharpoons nearrow searrow
    swarrow nwarrow rightrightarrows leftleftarrows rightleftarrows leftrightarrows leadsto
    rightsquigarrow leftrightsquigarrow twoheadrightarrow twoheadleftarrow rightarrowtail leftarrowtail
    nrightarrow nleftarrow nRightarrow nLeftarrow nleftrightarrow nLeftrightarrow upharpoonright
    upharpoonleft downharpoonright downharpoonleft upuparrows downdownarrows circlearrowleft
    circlearrowright curvearrowleft curvearrowright looparrowleft looparrowright dashleftarrow
    dashrightarrow Rrightarrow Lleftarrow Lsh Rsh multimap
""")
_OTHERS = _words("""
    langle rangle lfloor rfloor lceil rceil ulcorner urcorner llcorner lrcorner backslash prime vdots
    ddots forall exists nexists neg top bot emptyset angle measuredangle sphericalangle triangle
    triangledown square blacksquare lozenge blacklozenge bigstar blacktriangle blacktriangledown
    blacktriangleleft blacktriangleright clubsuit diamondsuit heartsuit spadesuit flat natural sharp surd
    checkmark diagup diagdown S P pounds yen copyright
""") | frozenset([r"\{", r"\}", r"\&", r"\%", r"\#", r"\_", r"\$"])

# Drawn, and spelt just so.
SYMBOLS = _LETTERS | LARGE | _BINARY | _RELATIONS | _ARROWS | _OTHERS

# Commands with one argument, which is braced: \hat{x}.
ACCENTS = _words("""
    hat tilde vec overline underline dot ddot dddot check breve acute grave mathring overbrace
    underbrace overleftarrow overleftrightarrow
""")
# Commands with two arguments: \frac{1}{2}.
PAIRS = _words("frac overset underset")
# Commands with an optional argument and one other: \sqrt[3]{2}.
OPTIONAL = _words("sqrt xrightarrow xleftarrow")

# The function names of LaTeX, which are written letter by letter.
FUNCTIONS = _words("""
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup
    ln log max min mod Pr sec sin sinh sup tan tanh
""")
# Function names that LaTeX has no command for, but authors define. They are written letter by letter too.
OPERATORS = _words("""
    sgn sign tg ctg cotg cth sh ch th cosec arctg arcctg arcctan arccot arcsec arccsc arccosec arcsinh
    arccosh arctanh arccoth arcsech arccsch arsinh arcosh artanh arcoth sech csch sinc erf erfc Ln Log Arg
    Res Tr tr rank rk diag adj codim coker im img id Id lcm card vol conv span supp dist diam Hom End Aut
    Gal Spec Ext Tor Var Cov Corr grad curl rot argmax argmin esssup essinf plim injlim projlim
""")

# \not before one of these is a symbol of its own. Before all others, \not stays.
NEGATED = {
    "=": r"\ne",
    "<": r"\nless",
    ">": r"\ngtr",
    "|": r"\nmid",
    r"\models": r"\nvDash",
} | _pairs("""
    in notin, exists nexists, le nleq, ge ngeq, sim nsim, cong ncong, subseteq nsubseteq,
    supseteq nsupseteq, prec nprec, succ nsucc, preceq npreceq, succeq nsucceq, vdash nvdash,
    vDash nvDash, Vdash nVdash, triangleleft ntriangleleft, triangleright ntriangleright,
    trianglelefteq ntrianglelefteq, trianglerighteq ntrianglerighteq, rightarrow nrightarrow,
    leftarrow nleftarrow, leftrightarrow nleftrightarrow, Rightarrow nRightarrow, Leftarrow nLeftarrow,
    Leftrightarrow nLeftrightarrow
""")

# --- Other spellings ---

_COMMANDS = _pairs("""
    tfrac frac, dfrac frac, dbinom binom, tbinom binom, bar overline, overbar overline,
    underbar underline, uline underline, widebar overline, widehat hat, widetilde tilde,
    widecheck check, overrightarrow vec, Bbb mathbb, mathds mathbb, mathbbm mathbb, leq le, geq ge,
    leqslant le, geqslant ge, neq ne, varepsilon epsilon, to rightarrow, gets leftarrow,
    implies Longrightarrow, impliedby Longleftarrow, Longleftrightarrow iff, land wedge, lor vee,
    lnot neg, owns ni, setminus backslash, smallsetminus backslash, varnothing emptyset, thicksim sim,
    thickapprox approx, hslash hbar, Box square, Diamond diamond, dag dagger, ddag ddagger,
    lhd triangleleft, rhd triangleright, vartriangleleft triangleleft, vartriangleright triangleright,
    unlhd trianglelefteq, unrhd trianglerighteq, vartriangle triangle, Join bowtie, doublecap Cap,
    doublecup Cup, restriction upharpoonright, varpropto propto, smallfrown frown, smallsmile smile,
    centerdot cdot, cdotp cdot, preccurlyeq preceq, succcurlyeq succeq, subseteqq subseteq,
    supseteqq supseteq, subsetneqq subsetneq, supsetneqq supsetneq, varsubsetneq subsetneq,
    varsupsetneq supsetneq, varsubsetneqq subsetneq, varsupsetneqq supsetneq, nleqslant nleq,
    nleqq nleq, ngeqslant ngeq, ngeqq ngeq, nsubseteqq nsubseteq, nsupseteqq nsupseteq, nshortmid nmid,
    nshortparallel nparallel, lvertneqq lneqq, gvertneqq gneqq, llless lll, gggtr ggg, Doteq doteqdot,
    intop int, smallint int, ointop oint, bigsquare square, i imath, j jmath, centernot not, slashed not,
    And &, textbackslash backslash,
    textbullet bullet, textdollar $, textunderscore _, textbraceleft {, textbraceright },
    textsterling pounds, textdagger dagger, textdaggerdbl ddagger, textcopyright copyright,
    textasciitilde sim, texttimes times, textdiv div, textpm pm, textmu mu, textrightarrow rightarrow,
    textleftarrow leftarrow, upepsilon epsilon, varGamma Gamma, varDelta Delta, varTheta Theta,
    varLambda Lambda, varXi Xi, varPi Pi, varSigma Sigma, varUpsilon Upsilon, varPhi Phi, varPsi Psi,
    varOmega Omega
""")
# Wikipedia's own names (texvc), which KaTeX and MathJax take as well.
_WIKIPEDIA = _pairs("""
    alef aleph, alefsym aleph, ang angle, and wedge, or vee, bull bullet, clubs clubsuit, darr downarrow,
    dArr Downarrow, Darr Downarrow, Dagger ddagger, diamonds diamondsuit, empty emptyset, exist exists,
    harr leftrightarrow, hArr Leftrightarrow, Harr Leftrightarrow, hearts heartsuit, image Im,
    infin infty, isin in, lang langle, larr leftarrow, lArr Leftarrow, Larr Leftarrow,
    lrarr leftrightarrow, lrArr Leftrightarrow, Lrarr Leftrightarrow, part partial, plusmn pm, rang rangle,
    rarr rightarrow, rArr Rightarrow, Rarr Rightarrow, real Re, sdot cdot, sect S, spades spadesuit,
    sub subset, sube subseteq, supe supseteq, thetasym vartheta, uarr uparrow, uArr Uparrow, Uarr Uparrow,
    weierp wp
""")
_BLACKBOARD = {
    **{f"\\{letter}": rf"{{\mathbb{{{letter}}}}}" for letter in "NRZQC"},
    **dict.fromkeys([r"\reals", r"\Reals"], r"{\mathbb{R}}"),
    **dict.fromkeys([r"\cnums", r"\Complex"], r"{\mathbb{C}}"),
    r"\natnums": r"{\mathbb{N}}",
    r"\Bbbk": r"{\mathbb{k}}",
}
_GREEK_CAPITALS = {
    f"\\{name}": letter
    for name, letter in zip(
        _split("Alpha Beta Epsilon Zeta Eta Iota Kappa Mu Nu Omicron Rho Tau Chi"),
        "ABEZHIKMNOPTX",
        strict=True,
    )
}
_UPRIGHT_GREEK = {
    r"\up" + name[1:]: name
    for name in _words("""
        alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi
        psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    """)
}
_ACCENTS_OF_TEXT = {
    r"\'": r"\acute",
    r"\`": r"\grave",
    r"\"": r"\ddot",
    r"\=": r"\overline",
    r"\.": r"\dot",
    r"\u": r"\breve",
    r"\v": r"\check",
    r"\r": r"\mathring",
}
# Negated relations that only some packages have a command for.
_NEGATIONS = {
    negation: rf"{{\not{relation}}}"
    for negation, relation in _pairs("""
        nsubset subset, nsupset supset, nequiv equiv, napprox approx, nsimeq simeq, nasymp asymp, notni ni,
        nni ni, nsqsubseteq sqsubseteq, nsqsupseteq sqsupseteq, nsqsubset sqsubset, nsqsupset sqsupset,
        nll ll, ngg gg, nperp perp, npropto propto
    """).items()
}

# Replaced before anything is parsed. What becomes several symbols is braced, to remain one argument
# (x^\ldots); braces that say nothing are dropped later.
SPELLINGS = {
    **_COMMANDS,
    **_WIKIPEDIA,
    **_BLACKBOARD,
    **_GREEK_CAPITALS,
    **_UPRIGHT_GREEK,
    **_ACCENTS_OF_TEXT,
    **_NEGATIONS,
    **CHARACTERS,
    **dict.fromkeys([r"\mid", r"\vert", r"\lvert", r"\rvert", r"\shortmid", r"\textbar"], "|"),
    **dict.fromkeys(
        [r"\|", r"\Vert", r"\lVert", r"\rVert", r"\parallel", r"\shortparallel", r"\textbardbl"], "{||}"
    ),
    **dict.fromkeys(
        [r"\ldots", r"\dots", r"\dotsc", r"\dotso", r"\dotsx", r"\mathellipsis", r"\textellipsis"],
        "{...}",
    ),
    **dict.fromkeys([r"\cdots", r"\dotsb", r"\dotsm", r"\dotsi"], r"{\cdot\cdot\cdot}"),
    **dict.fromkeys([r"\degree", r"\textdegree"], r"^{\circ}"),
    **{name: f"{{{name[1:]}}}" for name in FUNCTIONS | OPERATORS},
    r"\bmod": "{mod}",
    r"\varlimsup": r"{\overline{lim}}",
    r"\varliminf": r"{\underline{lim}}",
    r"\varinjlim": r"{\underset{\rightarrow}{lim}}",
    r"\varprojlim": r"{\underset{\leftarrow}{lim}}",
    r"\iiiint": r"{\iint\iint}",
    r"\idotsint": r"{\int\cdot\cdot\cdot\int}",
    r"\AA": r"{\mathring{A}}",
    r"\aa": r"{\mathring{a}}",
    r"\coloneqq": "{:=}",
    r"\coloneq": "{:=}",
    r"\colonequals": "{:=}",
    r"\eqqcolon": "{=:}",
    r"\eqcolon": "{=:}",
    r"\equalscolon": "{=:}",
    r"\dblcolon": "{::}",
    r"\coloncolon": "{::}",
    r"\Coloneqq": "{::=}",
    r"\llbracket": "{[[}",
    r"\rrbracket": "{]]}",
    r"\lt": "<",
    r"\gt": ">",
    r"\colon": ":",
    r"\vcentcolon": ":",
    r"\ordinarycolon": ":",
    r"\ratio": ":",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lparen": "(",
    r"\rparen": ")",
    r"\lgroup": "(",
    r"\rgroup": ")",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\slash": "/",
    r"\ldotp": ".",
    r"\lq": "`",
    r"\rq": "'",
    r"\omicron": "o",
    r"\textless": "<",
    r"\textgreater": ">",
    r"\textendash": "-",
    r"\textemdash": "-",
    r"\sp": "^",
    r"\sb": "_",
    r"\textsuperscript": "^",
    r"\textsubscript": "_",
    r"\bgroup": "{",
    r"\egroup": "}",
    r"\begingroup": "{",
    r"\endgroup": "}",
    **dict.fromkeys([r"\cr", r"\crcr", r"\newline", r"\tabularnewline"], "\\\\"),
    "%": r"\%",
    "#": r"\#",
}

# --- What is not drawn ---

_SPACES = _words("""
    quad qquad enspace enskip thinspace medspace thickspace negthinspace negmedspace negthickspace space
    nobreakspace strut mathstrut hfil hfill hss vfil vfill hline hdashline toprule midrule bottomrule
    allowbreak nobreak linebreak pagebreak break nonumber notag null relax smallskip medskip bigskip
    noindent indent par leavevmode unskip ignorespaces protect centering displaybreak goodbreak
""") | frozenset(["~", r"\,", r"\;", r"\:", r"\!", r"\>", r"\/", r"\-", r"\*", r"\@"])
_SHIFTS = frozenset(["$", r"\(", r"\)", r"\[", r"\]"]) | _words("ensuremath")
_FONTS = _words("""
    mathrm mathbf mathit mathsf mathtt mathcal mathfrak mathscr mathnormal mathsfit mathbfit mathup
    boldsymbol bm pmb bold text textrm textbf textit textsf texttt textnormal textsc textup textmd textsl
    mbox hbox emph rm bf it sf tt cal frak scr em sl sc mit boldmath unboldmath bfseries itshape rmfamily
    sffamily ttfamily mdseries upshape scshape slshape normalfont symrm symbf symit symsf symtt symcal
    symfrak symscr symup symnormal mathbcal mathbfcal mathbfsf
""")
_STYLES = _words("""
    limits nolimits displaylimits displaystyle textstyle scriptstyle scriptscriptstyle tiny scriptsize
    footnotesize small normalsize large Large LARGE huge Huge operatorname operatornamewithlimits mathop
    mathrel mathbin mathord mathopen mathclose mathpunct mathinner vcenter lefteqn adjustlimits mathclap
    mathllap mathrlap clap DOTSB DOTSI DOTSX
""")
# Drawn round or behind a formula to point it out; the formula itself stays.
_HIGHLIGHTS = _words("boxed fbox Aboxed")
# Not drawn. An argument of theirs is, and stays.
INVISIBLE = _SPACES | _SHIFTS | _FONTS | _STYLES | _HIGHLIGHTS
# Not drawn, nor is their argument, a formula.
DISCARDED = _words("phantom hphantom vphantom")

# Commands before which these arguments are cut out unread: `[` one in brackets if there is one, `{` one in
# braces. What follows stays: \textcolor{red}{x}. The value is what the command is then.
UNREAD: dict[str, tuple[str, str]] = {
    # These part scripts (x^{a}\hspace{1pt}_{b} is x^{a}{}_{b}), so empty braces stay for the parser.
    **dict.fromkeys(_words("label tag hspace vspace mspace"), ("{", "{}")),
    **dict.fromkeys(_words("cline noalign require"), ("{", "")),
    **dict.fromkeys(_words("color textcolor mathcolor colorbox"), ("[{", "")),
    **dict.fromkeys(_words("href class cssId style htmlClass htmlId htmlStyle htmlData"), ("{", "")),
    **dict.fromkeys(_words("fontfamily fontseries fontshape"), ("{", "")),
    r"\fcolorbox": ("[{{", ""),
    r"\fontsize": ("{{", ""),
    r"\multicolumn": ("{{", ""),
    r"\multirow": ("{{", ""),
    r"\raisebox": ("{[[", ""),
    r"\makebox": ("[[", ""),
    r"\framebox": ("[[", ""),
    r"\smash": ("[", ""),
    r"\bbox": ("[", ""),
    r"\cfrac": ("[", r"\frac"),
    r"\hdotsfor": ("[{", "{...}"),
}

# --- Constructs that are rewritten ---

# Sizes before a delimiter; with them a `.` is no delimiter, and `<` is an angle.
SIZES = _words("middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm")
ANGLES = {"<": r"\langle", ">": r"\rangle"}

# a \over b: a fraction, or (all others) a stack between brackets.
INFIX = {
    r"\over": None,
    r"\choose": ("(", ")"),
    r"\brack": ("[", "]"),
    r"\brace": ((r"\{",), (r"\}",)),
    r"\atop": ((), ()),
}
# The same with delimiters to choose: a \overwithdelims() b.
INFIX_DELIMITED = {r"\overwithdelims": r"\over", r"\atopwithdelims": r"\atop"}

# One argument between brackets: \abs{x}.
ENCLOSING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    r"\abs": (("|",), ("|",)),
    r"\norm": (("|", "|"), ("|", "|")),
    r"\pod": (("(",), (")",)),
    r"\pmod": (("(", "m", "o", "d"), (")",)),
    r"\set": ((r"\{",), (r"\}",)),
    r"\Set": ((r"\{",), (r"\}",)),
    r"\ceil": ((r"\lceil",), (r"\rceil",)),
    r"\floor": ((r"\lfloor",), (r"\rfloor",)),
    r"\bra": ((r"\langle",), ("|",)),
    r"\Bra": ((r"\langle",), ("|",)),
    r"\ket": (("|",), (r"\rangle",)),
    r"\Ket": (("|",), (r"\rangle",)),
    r"\braket": ((r"\langle",), (r"\rangle",)),
    r"\Braket": ((r"\langle",), (r"\rangle",)),
}

# Signs that grow with what is above and below, and what they become: \xmapsto{f} is \overset{f}{\mapsto}.
STRETCHED = {"\\x" + name[1:]: name for name in _ARROWS - {r"\rightarrow", r"\leftarrow"}} | {
    r"\xlongequal": "=",
    r"\xtofrom": r"\rightleftarrows",
    r"\xrightleftarrows": r"\rightleftarrows",
}
# What is drawn below a formula, and is no accent of MathWriting's.
UNDER = {
    r"\underrightarrow": r"\rightarrow",
    r"\underleftarrow": r"\leftarrow",
    r"\underleftrightarrow": r"\leftrightarrow",
    r"\utilde": r"\sim",
}

# Environments of rows and cells, with what stands before and after them. All become `matrix`.
_NOTHING: tuple[str, ...] = ()
_FENCED_MATRICES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "matrix": (_NOTHING, _NOTHING),
    "smallmatrix": (_NOTHING, _NOTHING),
    "pmatrix": (("(",), (")",)),
    "bmatrix": (("[",), ("]",)),
    "Bmatrix": ((r"\{",), (r"\}",)),
    "vmatrix": (("|",), ("|",)),
    "Vmatrix": (("|", "|"), ("|", "|")),
}
ENVIRONMENTS = {
    **_FENCED_MATRICES,
    **{
        f"{name[0]}small{name[1:]}": around
        for name, around in _FENCED_MATRICES.items()
        if name[1:] == "matrix"
    },
    **dict.fromkeys(("array", "darray", "tabular", "subarray"), (_NOTHING, _NOTHING)),
    **dict.fromkeys(("cases", "dcases"), ((r"\{",), _NOTHING)),
    **dict.fromkeys(("rcases", "drcases"), (_NOTHING, (r"\}",))),
}
# Environments of lines, which are what is in them where it is one line without `&`, else a `matrix`.
LINES = frozenset(
    _split(
        """
        equation displaymath math multline gather gathered align aligned alignat alignedat flalign
        xalignat eqnarray split dmath lgathered rgathered multlined IEEEeqnarray
        """
    )
)
# What follows \begin{…}: `[` a position, `{` columns or a number.
ENVIRONMENT_ARGUMENTS = {
    **dict.fromkeys(("array", "darray", "tabular", "alignedat", "IEEEeqnarray"), "[{"),
    **dict.fromkeys(("alignat", "xalignat", "subarray"), "{"),
    **dict.fromkeys(("aligned", "gathered", "split", "lgathered", "rgathered", "multlined"), "["),
    **dict.fromkeys((f"{name}*" for name in ENVIRONMENTS if name.endswith("matrix")), "["),
}
# Here a `\\` after the last row stays, because MathWriting's normalized labels keep it.
KEEP_LAST_ROW_END = frozenset(_FENCED_MATRICES)
# Plain TeX's and amsmath's commands with rows as their argument, and the environments that they are.
ROW_COMMANDS = {
    r"\matrix": "array",
    r"\smallmatrix": "array",
    r"\cases": "cases",
    r"\eqalign": "split",
    r"\displaylines": "gather",
    r"\substack": "split",
} | {f"\\{name}": name for name in _FENCED_MATRICES if name[1:] == "matrix"}
