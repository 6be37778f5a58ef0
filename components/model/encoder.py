"""The encoder: timm's Swin of any size, on grey pictures of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from components.config import ModelParams


class Encoder(nn.Module):
    """Pictures (B, 1, H, W) to a grid of features (B, H / stride, W / stride, width)."""

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], patch: int, width: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.width = width
        self.norm = nn.LayerNorm(width)
        self.stride = patch * 2 ** (len(stages) - 1)  # pixels per cell
        self.multiple = self.stride  # Swin pads to its windows by itself

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(pictures)
        for stage in self.stages:
            x = stage(x)
        features: Tensor = self.norm(x)
        return features


class ConvStem(nn.Module):
    """Strided convolutions instead of patch embedding: edges are learned sooner (Xiao et al. 2021,
    "Early convolutions help transformers see better", arXiv 2106.14881)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(1, width // 4, 2), *_conv(width // 4, width // 2, 1), *_conv(width // 2, width, 2),
            *_conv(width, width, 1),
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.body(pictures).permute(0, 2, 3, 1))
        return normed


class ResidualStem(nn.Module):
    """A small residual network (He et al. 2016) before Swin: strokes are local, and Swin alone needs far more
    ink than there is to learn that. Each halving doubles the width, up to `width`."""

    def __init__(self, width: int, patch: int, blocks: Sequence[int]) -> None:
        super().__init__()
        body: list[nn.Module] = []
        inside = 1
        for number, count in enumerate(blocks):
            outside = width * 2 ** (number + 1) // patch
            body += [*_conv(inside, outside, 2), *(_Residual(outside) for _ in range(count))]
            inside = outside
        self.body = nn.Sequential(*body)
        self.norm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.body(pictures).permute(0, 2, 3, 1))
        return normed


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)  # the block starts as the identity
        second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.body = nn.Sequential(*_conv(width, width, 1), second, last)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(x + self.body(x))


def _conv(inside: int, outside: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.GELU()]


def build_encoder(params: ModelParams) -> Encoder:
    """Build the encoder of `params`. Raises ValueError for an unknown timm name."""
    if params.encoder == "custom":
        swin: Any = SwinTransformer(
            img_size=(8 * params.patch * params.window,) * 2,
            patch_size=params.patch,
            in_chans=1,
            num_classes=0,
            embed_dim=params.embed_dim,
            depths=params.depths,
            num_heads=params.heads,
            window_size=params.window,
            drop_path_rate=params.drop_path,
            strict_img_size=False,
            always_partition=True,
        )
    else:
        swin = _named(params)
    stages = list(swin.layers)[: params.stages or None]
    width = swin.feature_info[len(stages) - 1]["num_chs"]
    if params.stem == "patch":
        return Encoder(swin.patch_embed, stages, params.patch, width)
    if params.stem == "residual":
        if params.patch != 2 ** len(params.stem_blocks):
            raise ValueError(
                f"model.stem_blocks: {len(params.stem_blocks)} halvings, but model.patch is {params.patch}"
            )
        return Encoder(
            ResidualStem(swin.embed_dim, params.patch, params.stem_blocks), stages, params.patch, width
        )
    if params.patch != 4:
        raise ValueError(f"model.patch: the convolutional stem has stride 4, not {params.patch}")
    return Encoder(ConvStem(swin.embed_dim), stages, params.patch, width)


def _named(params: ModelParams) -> Any:
    known = timm.list_models(["swin_*", "swinv2_*"], exclude_filters="swinv2_cr_*")
    if params.encoder.split(".")[0] not in known:
        raise ValueError(
            f"model.encoder: timm has no {params.encoder!r}; custom, or one of: {', '.join(known)}"
        )
    side = 8 * params.patch * params.window
    return timm.create_model(
        params.encoder,
        pretrained=params.pretrained,
        in_chans=1,
        num_classes=0,
        img_size=(side, side),
        window_size=params.window,
        drop_path_rate=params.drop_path,
        strict_img_size=False,
        always_partition=True,
    )
