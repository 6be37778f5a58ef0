r"""The LaTeX that the normalizer knows, as tables: what is drawn, what is not, what is spelt another way.

The canonical spellings are those of MathWriting (Gervais et al., 2024), as its excerpt shows them.
"""

from __future__ import annotations


def _words(names: str) -> frozenset[str]:
    return frozenset("\\" + name for name in names.split())


_LETTERS = _words("""
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
    phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega vartheta varpi varrho
    varsigma varphi varkappa digamma aleph beth gimel hbar ell wp Re Im imath jmath partial nabla infty
    eth mho complement
""")
LARGE = _words("""
    sum prod coprod int iint iiint iiiint oint bigcap bigcup bigsqcup bigoplus bigotimes bigodot
    biguplus bigvee bigwedge
""")
_BINARY = _words("""
    pm mp times div cdot ast star circ bullet oplus ominus otimes oslash odot dagger ddagger amalg cap
    cup uplus sqcap sqcup vee wedge bigcirc diamond wr ltimes rtimes boxplus boxminus boxtimes
    circledast circledcirc dotplus barwedge veebar triangleleft triangleright bigtriangleup
    bigtriangledown
""")
_RELATIONS = _words("""
    le ge ll gg lll ggg ne equiv sim simeq approx approxeq cong propto asymp doteq triangleq prec succ
    preceq succeq in ni notin subset supset subseteq supseteq subsetneq supsetneq nsubseteq nsupseteq
    sqsubset sqsupset sqsubseteq sqsupseteq perp vdash dashv models vDash Vdash bowtie smile frown
    lesssim gtrsim lessgtr gtrless nmid nparallel nleq ngeq nless ngtr ncong nsim trianglelefteq
    trianglerighteq not therefore because
""")
_ARROWS = _words("""
    leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow uparrow downarrow
    updownarrow Uparrow Downarrow Updownarrow longleftarrow longrightarrow longleftrightarrow
    Longleftarrow Longrightarrow iff mapsto longmapsto hookleftarrow hookrightarrow leftharpoonup
    leftharpoondown rightharpoonup rightharpoondown rightleftharpoons leftrightharpoons nearrow searrow
    swarrow nwarrow rightrightarrows leftleftarrows rightleftarrows leadsto rightsquigarrow
    twoheadrightarrow rightarrowtail nrightarrow nleftarrow nRightarrow upharpoonright circlearrowleft
    circlearrowright curvearrowleft curvearrowright multimap
""")
_OTHERS = _words("""
    langle rangle lfloor rfloor lceil rceil ulcorner urcorner llcorner lrcorner backslash prime vdots
    ddots forall exists nexists neg top bot emptyset angle measuredangle sphericalangle triangle square
    blacksquare lozenge clubsuit diamondsuit heartsuit spadesuit flat natural sharp surd checkmark S P
    pounds
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

# Function names, which are written letter by letter.
FUNCTIONS = _words("""
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup
    ln log max min mod Pr sec sin sinh sup tan tanh
""")

# Commands that are spelt as another command.
_COMMANDS = """
    tfrac frac, dfrac frac, cfrac frac, dbinom binom, tbinom binom, bar overline, overbar overline,
    underbar underline, widehat hat, widetilde tilde, overrightarrow vec, stackrel overset, Bbb mathbb,
    mathds mathbb, leq le, geq ge, leqslant le, geqslant ge, neq ne, varepsilon epsilon, to rightarrow,
    gets leftarrow, implies Longrightarrow, impliedby Longleftarrow, Longleftrightarrow iff, land wedge,
    lor vee, lnot neg, owns ni, setminus backslash, smallsetminus backslash, varnothing emptyset,
    thicksim sim, thickapprox approx, hslash hbar, Box square, dag dagger, ddag ddagger,
    lhd triangleleft, rhd triangleright
"""
# Unicode characters, and the commands that they are.
_UNICODE = """
    α alpha, β beta, γ gamma, δ delta, ε epsilon, ζ zeta, η eta, θ theta, ι iota, κ kappa, λ lambda,
    μ mu, ν nu, ξ xi, π pi, ρ rho, σ sigma, τ tau, υ upsilon, φ phi, χ chi, ψ psi, ω omega, Γ Gamma,
    Δ Delta, Θ Theta, Λ Lambda, Ξ Xi, Π Pi, Σ Sigma, Φ Phi, Ψ Psi, Ω Omega, × times, ÷ div, ± pm, ∓ mp,
    · cdot, ≤ le, ≥ ge, ≠ ne, ≈ approx, ≡ equiv, ∼ sim, ∝ propto, ∈ in, ∉ notin, ⊂ subset, ⊆ subseteq,
    ∪ cup, ∩ cap, ∞ infty, ∂ partial, ∇ nabla, ∑ sum, ∏ prod, ∫ int, ∀ forall, ∃ exists, → rightarrow,
    ← leftarrow, ⇒ Rightarrow, ⇔ Leftrightarrow
"""

# Other spellings, replaced before anything is parsed. What becomes several symbols is braced, to remain one
# argument (x^\ldots); braces that say nothing are dropped later.
SPELLINGS = {
    **{"\\" + other: "\\" + name for other, name in (pair.split() for pair in _COMMANDS.split(","))},
    **{character: "\\" + name for character, name in (pair.split() for pair in _UNICODE.split(","))},
    **dict.fromkeys([r"\mid", r"\vert", r"\lvert", r"\rvert"], "|"),
    **dict.fromkeys([r"\|", r"\Vert", r"\lVert", r"\rVert", r"\parallel"], "{||}"),
    **dict.fromkeys([r"\ldots", r"\dots", r"\dotsc", r"\dotso", "…"], "{...}"),
    **dict.fromkeys([r"\cdots", r"\dotsb", r"\dotsm", r"\dotsi", "⋯"], r"{\cdot\cdot\cdot}"),
    **dict.fromkeys([r"\degree", "°"], r"^{\circ}"),
    **{name: f"{{{name[1:]}}}" for name in FUNCTIONS},
    r"\bmod": "{mod}",
    r"\lt": "<",
    r"\gt": ">",
    r"\colon": ":",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\cr": "\\\\",
    "%": r"\%",
    "#": r"\#",
    "−": "-",
    "′": "'",
}

_SPACES = _words("""
    quad qquad enspace enskip thinspace medspace thickspace negthinspace negmedspace negthickspace space
    strut mathstrut hfill hline allowbreak nobreak nonumber notag null relax
""") | frozenset(["~", r"\,", r"\;", r"\:", r"\!", r"\>", r"\/"])
_SHIFTS = frozenset(["$", r"\(", r"\)", r"\[", r"\]"]) | _words("ensuremath")
_FONTS = _words("""
    mathrm mathbf mathit mathsf mathtt mathcal mathfrak mathscr mathnormal boldsymbol bm pmb bold text
    textrm textbf textit textsf texttt textnormal textsc textup mbox hbox emph rm bf it sf tt cal frak
    scr em sl sc mit boldmath unboldmath
""")
_STYLES = _words("""
    limits nolimits displaylimits displaystyle textstyle scriptstyle scriptscriptstyle tiny small large
    Large huge operatorname mathop mathrel mathbin mathord mathopen mathclose mathpunct mathinner smash
""")
# Not drawn. An argument of theirs is, and stays.
INVISIBLE = _SPACES | _SHIFTS | _FONTS | _STYLES
# Not drawn, nor is their argument.
DISCARDED = _words("hspace vspace mspace phantom hphantom vphantom label color tag")

# Sizes before a delimiter; with them a `.` is no delimiter, and `<` is an angle.
SIZES = _words("middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm")
ANGLES = {"<": r"\langle", ">": r"\rangle"}

# a \over b: a fraction, or (all others) a stack between brackets.
INFIX = {r"\over": None, r"\choose": ("(", ")"), r"\brack": ("[", "]"), r"\atop": ((), ())}

# Environments, with what stands before and after the rows. All become `matrix`.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("matrix", "smallmatrix", "array", "aligned", "align", "split", "gathered"), ((), ())),
    "pmatrix": (("(",), (")",)),
    "bmatrix": (("[",), ("]",)),
    "Bmatrix": ((r"\{",), (r"\}",)),
    "vmatrix": (("|",), ("|",)),
    "Vmatrix": (("|", "|"), ("|", "|")),
    "cases": ((r"\{",), ()),
}

# \not before one of these is a symbol of its own.
NEGATED = {"=": r"\ne", r"\in": r"\notin"}
